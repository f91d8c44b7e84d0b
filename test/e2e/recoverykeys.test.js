'use strict';
/* What sessions are signed with: keys that two daemons have in common, or have not, and what
 * becomes of sessions when the keys change. */
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { visit, told, taken, claimOf } = require('./lib/session');
const { reload } = require('./lib/reload');
const { scrape, settled } = require('./lib/metrics');
const { tempDir } = require('./lib/proc');
const { sign } = require('./lib/jwt');

const redisServer = shared((s) => Redis.start(s));
const SECRETS = ['one', 'another'].map((word) => `${word} secret that is long enough`.padEnd(40, '.'));
const pair = () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });

/* A way to check tokens: what the configuration has, and a token of u. */
const bySecret = (secret) => ({ auth: { secret }, token: sign({ uid: 'u' }, secret) });
function byPublicKey(file, name) {
    const { publicKey, privateKey } = pair();
    return { auth: { secret: undefined, publicKeyFile: file(name, publicKey.export({ type: 'spki', format: 'pem' })) }, token: sign({ uid: 'u' }, privateKey, 'ES256') };
}
/* Two ways, and whether a session of one daemon is known at the other. */
const PAIRS = {
    'the same secret of tokens': [true, () => [bySecret(SECRETS[0]), bySecret(SECRETS[0])]],
    'secrets of their own': [false, () => [bySecret(SECRETS[0]), bySecret(SECRETS[1])]],
    'secrets of their own, and a file in common': [true, (file) => SECRETS.map((secret) => ({ ...bySecret(secret), secretFile: file('common', SECRETS[1]) }))],
    'files of their own': [false, (file) => SECRETS.map((secret, i) => ({ ...bySecret(SECRETS[0]), secretFile: file(`own${i}`, secret) }))],
    'public keys, of which none can sign': [true, (file) => [byPublicKey(file, 'one.pem'), byPublicKey(file, 'another.pem')]],
};
async function start(t, redis, { auth, secretFile }) {
    return Daemon.start(t, { redis, config: { workers: 1, auth, 'socket.io': { connectionStateRecovery: secretFile ? { secretFile } : true } } });
}
function files(t) {
    const dir = tempDir(t);
    return (name, text) => {
        fs.writeFileSync(path.join(dir, name), text, { mode: 0o600 });
        return path.join(dir, name);
    };
}
async function gone(daemon, client) {
    client.destroy();
    await settled(daemon, (now) => now.get('clients') === 0, 'it has gone');
}

const agree = (daemons) => Promise.all(daemons.map((daemon) =>
    settled(daemon, (now) => now.get('recovery_offsets_shared') === 1, 'two marks')));

for (const [what, [is, make]] of Object.entries(PAIRS)) {
    test(`two daemons with ${what}: a client of one is ${is ? '' : 'not '}recovered at the other, and back`, async (t) => {
        const redis = await redisServer();
        const ways = make(files(t));
        const daemons = [await start(t, redis, ways[0]), await start(t, redis, ways[1])];
        await agree(daemons);
        let client = await visit(t, daemons[0].addr, ways[0].token);
        await told(redis, [client]);
        for (const to of [1, 0]) {
            await gone(daemons[1 - to], client);
            await taken(daemons[to], 'missed', 1, () => redis.emitter().to('u').emit('missed', to));
            client = await visit(t, daemons[to].addr, ways[to].token, claimOf(client));
            assert.strictEqual(client.recovered, is, `at ${to}`);
            assert.deepStrictEqual(await told(redis, [client]), [is ? [['missed', to]] : []]);
            assert.strictEqual((await scrape(daemons[to])).get('recovery_refused_total', 'reason="pid"'), is ? 0 : 1);
        }
    });
}
test('another user of the same key never has it, wherever it asks', async (t) => {
    const redis = await redisServer();
    const { publicKey, privateKey } = pair();
    const auth = { secret: undefined, publicKeyFile: files(t)('both.pem', publicKey.export({ type: 'spki', format: 'pem' })) };
    const [mine, yours] = ['u', 'v'].map((uid) => sign({ uid }, privateKey, 'ES256'));
    const daemons = [await start(t, redis, { auth }), await start(t, redis, { auth })];
    await agree(daemons);
    const client = await visit(t, daemons[0].addr, mine);
    await told(redis, [client]);
    for (const { addr } of daemons) assert.strictEqual((await visit(t, addr, yours, claimOf(client))).recovered, false);
    redis.emitter().to('u').emit('mine');
    assert.deepStrictEqual(await told(redis, [client]), [[['mine']]], 'who has it is still there');
    assert.strictEqual(client.over, null);
});
test('secrets of tokens that change by a reload: all of them are good, the sessions of one that is removed are not', async (t) => {
    const redis = await redisServer();
    const daemon = await start(t, redis, { auth: { secret: [SECRETS[0]] } });
    const token = (n) => sign({ uid: 'u' }, SECRETS[n]);
    const again = async (client, n) => {
        await gone(daemon, client);
        return visit(t, daemon.addr, token(n), claimOf(client));
    };
    let client = await visit(t, daemon.addr, token(0));
    await told(redis, [client]);
    await reload(daemon, { auth: { secret: [SECRETS[1], SECRETS[0]] } });
    client = await again(client, 1);
    assert.strictEqual(client.recovered, true, 'one more secret');
    await reload(daemon, { auth: { secret: [SECRETS[1]] } });
    client = await again(client, 1);
    assert.strictEqual(client.recovered, false, 'without the one that it is of');
    await told(redis, [client]);
    client = await again(client, 1);
    assert.strictEqual(client.recovered, true, 'of the one that is left');
    assert.strictEqual((await scrape(daemon)).get('recovery_refused_total', 'reason="pid"'), 1);
});
