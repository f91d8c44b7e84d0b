'use strict';
/* A run in which much happens, with its log in JSON and as text: every line of the first is an
 * object that is as axr-notifyd-log(7) says, and the second has what people read. */
const assert = require('assert');
const net = require('net');
const { test } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Raw, joined } = require('./lib/raw');
const { polled } = require('./lib/http');
const { VERSIONS, connect } = require('./lib/clients');
const { change } = require('./lib/reload');
const { documented, parse } = require('./lib/logs');
const { sign, expiring } = require('./lib/jwt');
const { within } = require('./lib/time');

const manual = documented();
const UIDS = ['a "quoted" user', 'back\\slash \\x41', 'ümläut €uro 😀', 'two\nlines\u0001\u0085', 'x'.repeat(255), 'ä'.repeat(127)];

/* What is told, in either form, is what is waited for: each event with its line as text, and what
 * members it has besides those that change from run to run. */
const ADDRESS = '127\\.0\\.0\\.1:\\d+';
const FROM = `address=${ADDRESS}`;
const LINES = {
    running_as_root: null,
    limits: [/info master.*: limits: connections=\d+ strangers=\d+ per worker, open files=\d+$/m],
    worker_ready: [/info master.*: worker 1 ready: pid=\d+ fork=1 generation=1$/m, { worker: 1, fork: 1, generation: 1 }],
    redis_subscribed: [/info master.*: redis subscribed at 127\.0\.0\.1:\d+: pattern=socket\.io#\/axr#\*$/m, { pattern: 'socket.io#/axr#*' }],
    ready: [/info master.*: axr-notifyd ready: 2 workers, listening on 127\.0\.0\.1:\d+, redis subscribed$/m, { workers: 2, redis: 'subscribed' }],
    client_connected: [new RegExp(`info worker \\d\\[\\d+\\]: client connected: user=a\\\\x20\\\\x22quoted\\\\x22\\\\x20user ${FROM} transport=websocket protocol=4$`, 'm'),
        { user: UIDS[0], transport: 'websocket', protocol: 4 }],
    client_disconnected: [new RegExp(`info worker \\d.*: client disconnected: user=u ${FROM} transport=websocket reason="token expired" duration=\\d+\\.\\ds$`, 'm'),
        { user: 'u', reason: 'token expired' }],
    client_refused: [new RegExp(`info worker \\d.*: client refused: reason=token_user ${FROM} transport=websocket wanted="uid has to be a string of 1 to 255 bytes" times=1$`, 'm'),
        { reason: 'token_user', wanted: 'uid has to be a string of 1 to 255 bytes', times: 1 }],
    path_not_served: [new RegExp(`info worker \\d.*: request for another path: path=/socket\\.io/ served=/notifications/ ${FROM} times=1$`, 'm'),
        { path: '/socket.io/', served: '/notifications/', times: 1 }],
    tls_on_plain_port: [new RegExp(`info worker \\d.*: TLS on a port for plain HTTP: ${FROM} times=1$`, 'm'), { times: 1 }],
    proxy_header_unexpected: [new RegExp(`info worker \\d.*: PROXY header on a listener without proxyProtocol: ${FROM} times=1$`, 'm'), { times: 1 }],
    upgrade_absent: [new RegExp(`info worker \\d.*: WebSocket request without its upgrade: a proxy has to pass on Upgrade and Connection: ${FROM} times=1$`, 'm'), { times: 1 }],
    origin_refused: [new RegExp(`info worker \\d.*: request of a page that may not: origin=https://evil\\.example site=- ${FROM} times=1$`, 'm'), { origin: 'https://evil.example' }],
    namespace_not_served: [new RegExp(`info worker \\d.*: namespace is not served: namespace=/wrong\\\\x20one served=/axr ${FROM} transport=websocket times=1$`, 'm'),
        { namespace: '/wrong one', served: '/axr' }],
    notification: [/debug master.*: notification: event=m\\x20sg rooms=u\\x20u,v\\x0aw except=x workers=nobody$/m, { notification: 'm sg', rooms: ['u u', 'v\nw'], except: ['x'], to_workers: undefined }],
    message_dropped: [/warn master.*: message dropped: reason=malformed count=1 channel=socket\.io#\/axr#\\xff\\x0a"#$/m,
        { reason: 'malformed', count: 1, channel: 'socket.io#/axr#\\xff\n"#' }],
    configuration_error: [/error master.*: configuration: .*: limits:connections: .*$/m],
    configuration_not_reloaded: [/error master.*: configuration not reloaded: the old one stays in force$/m],
    configuration_reloaded: [/info master.*: configuration reloaded; changed: auth \(a key\), limits:roomsPerClient$/m, { keys: ['auth (a key)', 'limits:roomsPerClient'] }],
    settings_taken: [/debug worker 1\[\d+\]: settings taken$/m],
    redis_lost: [/warn master.*: redis lost: .*; retrying$/m],
    redis_not_reachable: [/warn master.*: redis not reachable at 127\.0\.0\.1:\d+: .*; retrying$/m],
    redis_subscribed_again: [/warn master.*: redis subscribed again after \d+ ms; what was published meanwhile is lost$/m],
    log_reopened: [/info master.*: log opened again$/m],
    generation_starts: [/info master.*: generation 2 starts: workers=3$/m, { generation: 2, workers: 3 }],
    generation_serves: [/info master.*: generation 2 serves: workers=3; generation 1 draining within 300 ms$/m, { generation: 2, workers: 3, leaving_generation: 1, within: 0.3 }],
    generation_left: [/info master.*: generation 1 has left$/m, { generation: 1 }],
    worker_left: [/info master.*: worker 1: exited status=0 pid=\d+ after \d+ ms$/m, { status: 0 }],
    stopping: [/info master.*: stopping: SIGTERM, clients are closed within 300 ms$/m, { reason: 'SIGTERM', within: 0.3 }],
    stopped: [/info master.*: stopped: relayed=\d+ nobody=\d+ dropped=1 redis_gaps=1 log_lost=0$/m, { dropped: 1, redis_gaps: 1, log_lost: 0 }],
};
/* What its line in the log looks like. */
const seen = (event, format) => (format === 'json' ? new RegExp(`"event":"${event}"`) : LINES[event][0]);

const sends = (addr, bytes) => new Promise((resolve) => {
    const socket = net.connect(addr, () => socket.write(bytes));
    socket.on('error', () => {}).resume().on('close', resolve);
});
const get = (target, lines = '') => `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n${lines}\r\n`;

async function strangers(daemon) {
    const websocket = '/notifications/?EIO=4&transport=websocket';
    for (const bytes of [
        get('/socket.io/?EIO=4&transport=polling'), Buffer.from('16030102000100', 'hex'),
        `PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n${get(websocket)}`, get(websocket),
        get('/notifications/?EIO=4&transport=polling', 'Origin: https://evil.example\r\n'),
    ])
        await sends(daemon.addr, bytes);
    const lost = await Raw.open(daemon.addr);
    lost.sendText('40/wrong one,');
    await lost.text();
    const refused = await Raw.open(daemon.addr);
    refused.sendText(`40/axr,${JSON.stringify({ token: sign({ uid: 42 }, SECRET) })}`);
    await refused.text();
    for (const one of [lost, refused]) one.destroy();
}

async function users(t, daemon) {
    for (const version of VERSIONS) (await connect(version, daemon.addr, { token: daemon.token(`client ${version}.x`) })).close();
    for (const uid of UIDS) (await joined(daemon.addr, daemon.token(uid))).destroy();
    const polls = await polled(daemon.addr, daemon.token('polls'));
    t.after(() => polls.destroy());
    const large = await joined(daemon.addr, daemon.token('large'));
    large.sendText(`42/axr,["x","${'x'.repeat(200000)}"]`);
    await large.end();
    return expiring((exp) => joined(daemon.addr, daemon.token('u', { exp })));
}

/* All that is in LINES. */
async function everything(t, format) {
    const redis = await Redis.start(t);
    const config = {
        workers: 2, drainTimeout: 300, shutdownTimeout: 300, log: { format, level: 'debug' },
        cors: { origin: ['https://good.example'] }, 'socket.io': { maxHttpBufferSize: 100000 },
    };
    const daemon = await Daemon.start(t, { redis, config });
    const told = (event, ms = 4000, from = 0) => daemon.logged(seen(event, format), within(ms), from);

    const expires = await users(t, daemon);
    await strangers(daemon);
    redis.emitter().to('u u').to('v\nw').except('x').emit('m sg', 1);
    await redis.publish(Buffer.from('socket.io#/axr#\xff\n"#', 'latin1'), 'no message');
    await told('message_dropped');
    await expires.end(within(5000));

    change(daemon, { limits: { connections: -1 } });
    daemon.signal('SIGHUP');
    await told('configuration_not_reloaded');
    change(daemon, { limits: { connections: undefined, roomsPerClient: 7 }, auth: { secret: `${SECRET} and more` } });
    daemon.signal('SIGHUP');
    await told('settings_taken');
    daemon.signal('SIGUSR1');
    await told('log_reopened');

    await redis.stop();
    await told('redis_not_reachable');
    await redis.again();
    await told('redis_subscribed_again');
    daemon.deaths = true;
    process.kill(daemon.workers()[0], 'SIGKILL');
    /* At once or, if it was young, a little later. */
    await daemon.logged(format === 'json' ? /"event":"worker_(replaced|forked_again)","worker":1,.*"signal":9,/
        : /(warn|error) master.*: worker 1: killed by signal 9 \(Killed\) pid=\d+ after \d+ ms; (replaced at once|forked again in 100 ms times=1)$/m);
    await daemon.logged(format === 'json' ? /"worker":1,"worker_pid":\d+,"fork":2/ : /worker 1 ready: pid=\d+ fork=2/);
    change(daemon, { workers: 3 });
    daemon.signal('SIGHUP');
    await told('generation_left');
    const last = await joined(daemon.addr, sign({ uid: 'last' }, `${SECRET} and more`));
    daemon.workersAtReady = daemon.workers();
    await daemon.stop();
    last.destroy();
    return daemon.log;
}

const has = (object, members) => Object.entries(members).every(([key, value]) => JSON.stringify(object[key]) === JSON.stringify(value));

test('as JSON: every line is an object, as the manual says of its event', async (t) => {
    const lines = (await everything(t, 'json')).trimEnd().split('\n').map((line) => parse(line, manual));
    for (const [event, [, members = {}]] of Object.entries(LINES).filter(([, told]) => told)) {
        const of = lines.filter((line) => line.event === event);
        assert.ok(of.some((line) => has(line, members)), `${event} ${JSON.stringify(members)} is not in ${JSON.stringify(of.slice(0, 5), null, 1)}`);
    }
    for (const user of UIDS) assert.ok(lines.some((line) => line.event === 'client_connected' && line.user === user), `the user ${user}`);
    for (const version of VERSIONS) assert.ok(lines.some((line) => line.user === `client ${version}.x` && line.protocol === (version < 3 ? 3 : 4)), `client ${version}.x`);
    for (const reason of ['client left', 'message too big', 'token expired', 'shutdown'])
        assert.ok(lines.some((line) => line.event === 'client_disconnected' && line.reason === reason && line.duration >= 0), reason);
});
test('as text: the lines that people and programs know', async (t) => {
    const log = await everything(t, 'text');
    for (const [pattern] of Object.values(LINES).filter(Boolean)) assert.match(log, pattern);
    for (const shown of ['back\\x5cslash\\x20\\x5cx41', '\\xc3\\xbcml\\xc3\\xa4ut\\x20\\xe2\\x82\\xacuro\\x20\\xf0\\x9f\\x98\\x80', 'two\\x0alines\\x01\\xc2\\x85', 'x'.repeat(255), '\\xc3\\xa4'.repeat(127)])
        assert.ok(log.includes(`client connected: user=${shown} address=`), shown);
});
