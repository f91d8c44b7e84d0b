'use strict';
/* headless Chromium: a page of another origin, with the bundles that npm ships,
 * connects by polling, upgrades and receives; refused where its origin is not
 * listed.  The page reports to the server it came from, so nothing drives it. */
const assert = require('assert');
const { shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Site, browser, visit, seen } = require('./lib/browser');

const redisOf = shared((s) => Redis.start(s));

function browse(t, site, jobs) {
    site.offer(jobs);
    visit(t, site, `${site.origin}/`);
}

const WAYS = [
    { version: 4, options: {} }, { version: 2, options: {} }, { version: 1, options: {} },
    { version: 4, options: { transports: ['polling'] }, stays: true }, { version: 2, options: { transports: ['polling'] }, stays: true },
    { version: 1, options: { transports: ['polling'] }, stays: true },
    { version: 2, options: { transports: ['polling'], forceJSONP: true }, stays: true },
    { version: 4, options: { withCredentials: true } },
];
browser('Chromium: pages of a listed origin connect by polling, upgrade and receive', async (t) => {
    const redis = await redisOf();
    const page = await Site.start(t);
    const daemon = await Daemon.start(t, { redis, config: { workers: 4, cors: { origins: [page.origin], credentials: true } } });
    const url = `http://127.0.0.1:${daemon.addr.port}/axr`;
    browse(t, page, WAYS.map((way) => ({ ...way, url, token: daemon.token('u') })));
    await page.when((reports) => WAYS.every((way, id) => seen(reports, id, 'connect').length && (way.stays || seen(reports, id, 'upgrade').length)), 'connects and upgrades');
    for (const [id, way] of WAYS.entries()) {
        assert.deepStrictEqual(seen(page.reports, id, 'open').map((one) => one.detail), ['polling'], JSON.stringify(way));
        assert.deepStrictEqual(seen(page.reports, id, 'upgrade').map((one) => one.detail), way.stays ? [] : ['websocket']);
    }
    const message = ['hé€😀', { a: [1, null] }];
    redis.emitter().emit('msg', ...message);
    redis.emitter().to('u').emit('msg', 'bin', Buffer.from([1, 2, 255]));
    await page.when((reports) => WAYS.every((_, id) => seen(reports, id, 'msg').length === 2), 'messages');
    for (const [id, way] of WAYS.entries()) {
        const got = seen(page.reports, id, 'msg').map((one) => one.detail);
        got.sort((a, b) => a[0] === 'bin' ? 1 : b[0] === 'bin' ? -1 : 0); /* reports may overtake one another */
        assert.deepStrictEqual(got, [message, ['bin', { bytes: [1, 2, 255] }]], JSON.stringify(way));
    }
});
browser('Chromium: with the default of every origin', async (t) => {
    const redis = await redisOf();
    const page = await Site.start(t);
    const daemon = await Daemon.start(t, { redis, config: { workers: 4 } });
    browse(t, page, [{ version: 4, options: {}, url: `http://127.0.0.1:${daemon.addr.port}/axr`, token: daemon.token('u') }]);
    await page.when((reports) => seen(reports, 0, 'upgrade').length && seen(reports, 0, 'connect').length, 'connect and upgrade');
    redis.emitter().emit('msg', 1);
    await page.when((reports) => seen(reports, 0, 'msg').length, 'message');
});
browser('Chromium: a page of an origin that is not listed is refused, by polling and by WebSocket', async (t) => {
    const redis = await redisOf();
    const page = await Site.start(t);
    const daemon = await Daemon.start(t, { redis, config: { workers: 2, cors: { origins: ['https://app.example'] } } });
    const job = (version, options) => ({ version, options, url: `http://127.0.0.1:${daemon.addr.port}/axr`, token: daemon.token('u') });
    const jobs = [job(4, {}), job(4, { transports: ['websocket'] }), job(2, {}), job(2, { transports: ['websocket'] })];
    browse(t, page, jobs);
    await page.when((reports) => jobs.every((_, id) => seen(reports, id, 'refused').length), 'refusals');
    assert.deepStrictEqual(page.reports.filter((one) => one.what === 'connect'), []);
});
