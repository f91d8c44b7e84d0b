'use strict';
/* Every key, from every source: the file, the environment in both spellings and
 * the command line, each of which overrides the one before. */
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, NOTIFYD, ROOT, SECRET } = require('./lib/daemon');
const { joined, Raw } = require('./lib/raw');
const { heardArgs } = require('./lib/hear');
const { run, tempDir } = require('./lib/proc');
const { selfSigned } = require('./lib/certificates');

const files = shared(async (s) => {
    const dir = tempDir(s);
    fs.chmodSync(dir, 0o755);
    const certificate = selfSigned();
    const { publicKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    const put = (name, text) => {
        const file = path.join(dir, name);
        fs.writeFileSync(file, text, { mode: 0o644 });
        return file;
    };
    const three = (name, text) => [1, 2, 3].map((n) => put(`${name}${n}`, text));
    return {
        secrets: three('secret', SECRET),
        keys: three('key', publicKey.export({ type: 'spki', format: 'pem' })),
        passwords: three('password', 'r3dis'),
        scripts: three('client.js', '// a client'),
        sets: three('jwks', '{"keys":[]}'),
        /* A certificate in three places, with its key, and the text of each. */
        certFiles: three('cert.pem', certificate.chain),
        keyFiles: three('key.pem', certificate.key),
        certs: Array(3).fill(certificate.chain.trimEnd()),
        pems: Array(3).fill(certificate.key.trimEnd()),
    };
});

/* Three values for each key: of the file, the environment, the command line.
 * Keys that exclude each other are in groups, each tried on its own. */
async function groups() {
    const { secrets, keys, passwords, scripts, sets, certFiles, keyFiles, certs, pems } = await files();
    const secret = ['one', 'two', 'three'].map((word) => word.padEnd(40, 'x'));
    const clientOf = (name) => ({
        [`${name}:caFile`]: certFiles, [`${name}:certFile`]: certFiles, [`${name}:keyFile`]: keyFiles,
        [`${name}:servername`]: ['one', 'two', 'three'], [`${name}:rejectUnauthorized`]: [true, false, true],
    });
    const textsOf = (name) => ({ [`${name}:ca`]: certs, [`${name}:cert`]: certs, [`${name}:key`]: pems });
    const sentinels = { 'socket.io:redis:sentinels': [['one:1'], ['two:2', '[::1]:3'], ['three:26379']] };
    const common = {
        workers: [2, 3, 4],
        proxies: [['10.0.0.0/8', 'unix'], ['::1'], ['192.0.2.1', 'fd00::/8']],
        proxyHeader: ['Forwarded', 'X-Forwarded-For', 'Forwarded'],
        'socket.io:namespace': ['/one', '/two', '/three'],
        'socket.io:redis:username': ['one', 'two', 'three'],
        'socket.io:redis:database': [1, 2, 3],
        'socket.io:key': ['one', 'two', 'three'],
        'socket.io:pingInterval': [1001, 1002, 1003],
        'socket.io:pingTimeout': [1001, 1002, 1003],
        'socket.io:connectTimeout': [1001, 1002, 1003],
        'socket.io:upgradeTimeout': [1001, 1002, 1003],
        'socket.io:requestsTimeout': [1001, 1002, 1003],
        'socket.io:maxHttpBufferSize': [1001, 1002, 1003],
        'socket.io:transports': [['polling', 'websocket'], ['websocket', 'polling'], ['websocket']],
        'socket.io:allowEIO3': [false, true, false],
        'socket.io:presence': [true, false, true],
        'socket.io:connectionStateRecovery:maxDisconnectionDuration': [1001, 1002, 1003],
        'socket.io:connectionStateRecovery:maxBytes': [2000001, 2000002, 2000003],
        'socket.io:connectionStateRecovery:secretFile': secrets,
        'socket.io:clientFile': scripts,
        'auth:publicKeyFile': keys,
        'auth:options:algorithms': [['HS256'], ['RS256'], ['HS512', 'RS384']],
        'auth:options:audience': [['one'], ['two'], ['three', 'four']],
        'auth:options:issuer': [['one'], ['two'], ['three', 'four']],
        'auth:options:types': [['one'], ['two'], ['three', '*']],
        'auth:options:clockTolerance': [1, 2, 3],
        'auth:options:roomsClaim': ['one', 'https://two.example/rooms', 'profile.three'],
        'cors:origins': [['https://one.example'], ['https://two.example'], ['https://three.example']],
        'cors:credentials': [true, false, true],
        'limits:connections': [101, 102, 103],
        'limits:strangers': [51, 52, 53],
        'limits:connectionsPerUser': [1, 2, 3],
        'limits:connectionsPerUserPolicy': ['replace', 'refuse', 'replace'],
        'limits:roomsPerClient': [11, 12, 13],
        'limits:headerBytes': [2001, 2002, 2003],
        'limits:headers': [11, 12, 13],
        'limits:tokenBytes': [1001, 1002, 1003],
        'limits:messageBytes': [1001, 1002, 1003],
        'limits:attachments': [1, 2, 3],
        'limits:sendBuffer': [10001, 10002, 10003],
        'limits:sendTimeout': [1001, 1002, 1003], 'limits:idleTimeout': [2001, 2002, 2003],
        shutdownTimeout: [1, 2, 3],
        drainTimeout: [1, 2, 3],
        'log:level': ['error', 'warn', 'debug'],
        'log:target': ['syslog', '/tmp/two', 'stderr'],
        'log:format': ['json', 'text', 'json'],
        'admin:host': ['127.0.0.2', '127.0.0.3', '127.0.0.4'],
        'admin:port': [1, 2, 'off'],
        pidFile: ['/tmp/one', '/tmp/two', '/tmp/three'],
        user: ['daemon', 'bin', 'sys'],
        group: ['daemon', 'bin', 'sys'],
        sandbox: [false, true, false],
    };
    return [
        {
            ...common,
            port: [1, 2, 3],
            host: ['127.0.0.2', '127.0.0.3', '127.0.0.4'],
            path: ['/one/', '/two/', '/three/'],
            'auth:secret': ['one', 'two', 'three'].map((word) => word.padEnd(40, 'x')),
            'socket.io:redis:host': ['r1', 'r2', 'r3'],
            'socket.io:redis:port': [1, 2, 3],
            'socket.io:redis:password': ['one', '12345', 'true'],
            'socket.io:redis:tls': [false, false, false],
            'admin:token': ['one', '12345', 'true'].map((word) => word.padEnd(20, 'x')),
        },
        {
            listen: [['127.0.0.1:1'], ['127.0.0.1:2', '[::1]:2'], ['unix:/tmp/three']],
            'auth:secretFile': secrets,
            'auth:keys': secrets.map((secretFile, i) => [{ kid: `k${i}`, secretFile }]),
            'auth:jwksFile': sets,
            'socket.io:redis:path': ['/tmp/one.sock', '/tmp/two.sock', '/tmp/three.sock'],
            'socket.io:redis:username': ['one', 'two', 'three'],
            'socket.io:redis:passwordFile': passwords,
            'admin:tokenFile': passwords,
        },
        {
            'auth:secret': ['one', 'two', 'three'].map((word) => word.padEnd(40, 'x')),
            'socket.io:redis:url': ['redis://r1:1/1', 'redis://r2:2/2', 'redis://r3:3/3'],
            'socket.io:connectionStateRecovery': [true, false, true],
        },
        {
            'auth:secret': secret, ...sentinels, 'socket.io:redis:name': ['one', 'two', 'three'],
            'socket.io:redis:sentinelUsername': ['one', 'two', 'three'], 'socket.io:redis:sentinelPassword': ['one', '12345', 'true'],
            'socket.io:redis:sentinelTLS': [true, false, true], 'limits:connectionsPerAddress': [1, 2, 3],
        },
        {
            'auth:secret': secret, ...sentinels, 'socket.io:redis:sentinelPasswordFile': passwords,
            ...clientOf('socket.io:redis:tls'), ...clientOf('socket.io:redis:sentinelTLS'),
            'tls:certFile': certFiles, 'tls:keyFile': keyFiles, 'tls:minVersion': ['TLSv1.2', 'TLSv1.3', 'TLSv1.2'],
            'tls:ciphers': ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE+AESGCM', 'ECDHE+CHACHA20'],
            'tls:cipherSuites': ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
        },
        {
            'auth:secret': secret, ...textsOf('socket.io:redis:tls'), ...sentinels, ...textsOf('socket.io:redis:sentinelTLS'),
            'tls:certificates': certFiles.map((certFile, i) => [{ certFile, keyFile: keyFiles[i] }]),
        },
        { 'auth:secretFile': [secrets, secrets.slice(1), secrets.slice(0, 2)], 'auth:publicKeyFile': [keys, keys, keys.slice(1)] },
        { 'auth:secret': ['one', 'two', 'three'].map((word) => [word.padEnd(40, 'x'), word.padEnd(50, 'y')]) },
    ];
}
const SECRETS = ['auth:secret', 'admin:token', 'socket.io:redis:password', 'socket.io:redis:sentinelPassword', 'socket.io:redis:tls:key', 'socket.io:redis:sentinelTLS:key'];
const PEMS = ['socket.io:redis:tls:ca', 'socket.io:redis:tls:cert', 'socket.io:redis:sentinelTLS:ca', 'socket.io:redis:sentinelTLS:cert'];

function nest(values) {
    const root = {};
    for (const [key, value] of Object.entries(values)) {
        const parts = key.split(':');
        const last = parts.pop();
        let at = root;
        for (const part of parts) at = at[part] = at[part] || {};
        at[last] = value;
    }
    return root;
}
const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value));
const ENVIRONMENTS = {
    'its own spelling': (key) => key.replace(/:/g, '__'),
    'the spelling of a shell': (key) => `AXR_NOTIFYD__${key.replace(/:/g, '__').replace(/\./g, '_').toUpperCase()}`,
    'the prefix in lower case': (key) => `axr_notifyd__${key.replace(/:/g, '__').replace(/\./g, '_')}`,
};
const COMMANDS = {
    '--KEY VALUE': (key, value) => [`--${key}`, value],
    '--KEY=VALUE': (key, value) => [`--${key}=${value}`],
    'a point as separator': (key, value) => [`--${key.replace(/:/g, '.')}`, value],
};

/* What -t prints: { key: { value, source } }. */
async function inForce(t, { file, env = {}, args = [] }) {
    const dir = tempDir(t);
    const name = path.join(dir, 'axr.conf');
    fs.writeFileSync(name, typeof file === 'string' ? file : JSON.stringify(file));
    fs.chmodSync(dir, 0o755); /* its user has to be able to read it */
    const how = await run(NOTIFYD, ['-c', name, '-t', ...args], { env });
    assert.strictEqual(how.code, 0, how.err);
    const all = {};
    for (const line of how.out.trimEnd().split('\n')) {
        const match = /^(\S+) = (.*)  \((.*)\)$/.exec(line);
        if (match) all[match[1]] = { value: match[2], source: match[3] };
    }
    return { all, ...how };
}

function expectAll(all, values, which, source) {
    for (const [key, three] of Object.entries(values)) {
        assert.ok(all[key], `${key} is not among what -t prints`);
        assert.match(all[key].source, source, key);
        if (SECRETS.includes(key)) {
            assert.match(all[key].value, /^\*+$/);
            continue;
        }
        if (PEMS.includes(key)) {
            assert.strictEqual(all[key].value, 'PEM');
            continue;
        }
        const wanted = three[which];
        const shown = key === 'path' ? `"${wanted}"` : JSON.stringify(wanted);
        assert.strictEqual(all[key].value, shown, key);
    }
}

test('every key that -t prints is tried here', async (t) => {
    const { all } = await inForce(t, { file: { auth: { secret: SECRET } } });
    const tried = new Set((await groups()).flatMap(Object.keys));
    assert.deepStrictEqual(Object.keys(all).filter((key) => !tried.has(key)), []);
});
test('the file sets every key', async (t) => {
    for (const group of await groups()) {
        const file = nest(Object.fromEntries(Object.entries(group).map(([key, three]) => [key, three[0]])));
        const { all } = await inForce(t, { file });
        expectAll(all, group, 0, /^file .*axr\.conf:\d+$/);
    }
});
for (const [what, spell] of Object.entries(ENVIRONMENTS)) {
    test(`the environment overrides the file for every key: ${what}`, async (t) => {
        for (const group of await groups()) {
            const entries = Object.entries(group);
            const file = nest(Object.fromEntries(entries.map(([key, three]) => [key, three[0]])));
            const env = Object.fromEntries(entries.map(([key, three]) => [spell(key), text(three[1])]));
            const { all } = await inForce(t, { file, env });
            expectAll(all, group, 1, /^environment /);
        }
    });
}
for (const [what, spell] of Object.entries(COMMANDS)) {
    test(`the command line overrides both for every key: ${what}`, async (t) => {
        for (const group of await groups()) {
            const entries = Object.entries(group);
            const file = nest(Object.fromEntries(entries.map(([key, three]) => [key, three[0]])));
            const env = Object.fromEntries(entries.map(([key, three]) => [ENVIRONMENTS['the spelling of a shell'](key), text(three[1])]));
            const args = entries.flatMap(([key, three]) => spell(key, text(three[2])));
            const { all } = await inForce(t, { file, env, args });
            expectAll(all, group, 2, /^command line/);
        }
    });
}
test('of a key given twice on the command line the last counts', async (t) => {
    const args = ['--workers', '3', '--port=1', '--workers=5', '--port', '2'];
    const { all } = await inForce(t, { file: { auth: { secret: SECRET } }, args });
    assert.deepStrictEqual([all.workers.value, all.port.value], ['5', '2']);
});
test('names of the environment: PORT counts, HOST, PATH and USER do not, an unknown one only with the prefix', async (t) => {
    const file = { auth: { secret: SECRET } };
    const { all } = await inForce(t, { file, env: { PORT: '4567', HOST: 'x', PATH: '/x', USER: 'nobody', HOME: '/', WHATEVER: '1', GROUP: 'x', WORKERS: '9' } });
    assert.strictEqual(all.port.value, '4567');
    for (const key of ['host', 'path', 'user', 'group', 'workers']) assert.strictEqual(all[key].source, 'default', key);
    const name = path.join(tempDir(t), 'axr.conf');
    fs.writeFileSync(name, JSON.stringify(file));
    const how = await run(NOTIFYD, ['-c', name, '-t'], { env: { AXR_NOTIFYD__PROT: '1' } });
    assert.ok(how.code > 0);
    assert.match(how.err, /AXR_NOTIFYD__PROT/);
});
test('no secret shows in what -t prints', async (t) => {
    for (const group of await groups()) {
        const file = nest(Object.fromEntries(Object.entries(group).map(([key, three]) => [key, three[0]])));
        const { out, err } = await inForce(t, { file });
        for (const hidden of ['one'.padEnd(40, 'x'), SECRET, 'r3dis']) assert.ok(!out.includes(hidden) && !err.includes(hidden));
    }
    const url = 'redis://user:hidden-in-a-url@r1';
    const { out, err } = await inForce(t, { file: nest({ 'auth:secret': SECRET, 'socket.io:redis:url': url }) });
    assert.ok(!out.includes('hidden-in-a-url') && !err.includes('hidden-in-a-url'));
});
test('/dev/null is an empty configuration, a file that is not there is an error', async () => {
    const env = { AXR_NOTIFYD__AUTH__SECRET: SECRET };
    assert.strictEqual((await run(NOTIFYD, ['-c', '/dev/null', '-t'], { env })).code, 0);
    const how = await run(NOTIFYD, ['-c', '/nowhere/axr.conf', '-t'], { env });
    assert.ok(how.code > 0);
    assert.match(how.err, /\/nowhere\/axr\.conf/);
});
test('keys of other services are taken and reported as ignored', async (t) => {
    const foreign = {
        auth: { strategy: 'JWTStrategy', payload: { compress: 'zlib' }, password: SECRET, options: { expiresIn: '7 days' } },
        service_name: 'x', cookie_secret: 'y', session: { secret: 'z' }, datastores: { cache: { type: 'redis' } }, trusted_roles: ['admin'],
        'socket.io': { connectionStateRecovery: { skipMiddlewares: true } },
    };
    const { all, out } = await inForce(t, { file: foreign });
    assert.match(all['auth:secret'].value, /^\*+$/);
    for (const key of ['auth:strategy', 'auth:payload', 'auth:options:expiresIn', 'service_name', 'cookie_secret', 'session', 'datastores', 'trusted_roles',
        'socket.io:connectionStateRecovery:skipMiddlewares'])
        assert.match(out, new RegExp(`^ignored: ${key} `, 'm'));
});
/* A cgroup of our own, where we may make one: its directory.  tops: of the controller in
 * version 1; limit(dir, version) sets what it is given. */
function cgroup(t, tops, limit) {
    const name = `axr-e2e-${process.pid}`;
    for (const [top, version] of [...tops.map((one) => [one, 1]), ['.', 2]]) {
        const dir = path.join('/sys/fs/cgroup', top, name);
        try {
            fs.mkdirSync(dir);
            t.after(() => fs.rmdirSync(dir));
            limit(dir, version);
            return dir;
        } catch { /* not there, or not ours */ }
    }
    return null;
}
const inside = (dir) => ['sh', '-c', `echo $$ >${path.join(dir, 'cgroup.procs')} && exec "$@"`, 'sh'];
test('workers: auto is no more than the CPU time that the cgroup has', async (t) => {
    const cpus = Number((await run('nproc', [])).out);
    const workers = async (wrap) => {
        const [command, ...args] = [...wrap, NOTIFYD, '-c', '/dev/null', '-t', '--auth:secret', SECRET];
        return Number(/^workers = (\d+) /m.exec((await run(command, args, { env: { PATH: process.env.PATH } })).out)[1]);
    };
    const free = await workers([]);
    assert.ok(free >= 1 && free <= cpus, `${free} of ${cpus}`);
    const dir = cgroup(t, ['cpu', 'cpu,cpuacct'], (where, version) => {
        if (version === 1) fs.writeFileSync(path.join(where, 'cpu.cfs_quota_us'), String(0.5 * fs.readFileSync(path.join(where, 'cpu.cfs_period_us'))));
        else fs.writeFileSync(path.join(where, 'cpu.max'), '50000 100000');
    });
    if (!dir) return t.skip('no cgroup may be made here');
    assert.strictEqual(await workers(inside(dir)), 1);
});
test('maxBytes of connectionStateRecovery: more than half of the memory that the cgroup has is warned of', async (t) => {
    const dir = cgroup(t, ['memory'], (where, version) =>
        fs.writeFileSync(path.join(where, version === 1 ? 'memory.limit_in_bytes' : 'memory.max'), String(200 << 20)));
    if (!dir) return t.skip('no cgroup may be made here');
    const warned = async (...args) => {
        const [command, ...words] = [...inside(dir), NOTIFYD, '-c', '/dev/null', '-t', '--auth:secretFile', (await files()).secrets[0], ...args];
        const how = await run(command, words, { env: { PATH: process.env.PATH } });
        assert.strictEqual(how.code, 0, how.err);
        return /connectionStateRecovery:maxBytes: found \d+, more than half of the 209715200 bytes/.test(how.err);
    };
    const key = '--socket.io:connectionStateRecovery';
    assert.deepStrictEqual([await warned(), await warned(`${key}=true`), await warned(`${key}:maxBytes=${100 << 20}`)], [false, false, false]);
    assert.strictEqual(await warned(`${key}:maxBytes=${(100 << 20) + 1}`), true);
    assert.strictEqual(await warned(`${key}:maxBytes=${(100 << 20) + 1}`, `${key}=false`), false);
});
test('comments, and broken files of the repository', async (t) => {
    await inForce(t, { file: `// one\n{ /* two */ "auth": { "secret": "${SECRET}" } // three\n}\n` });
    const dir = path.join(ROOT, 'test/conf/broken');
    const names = fs.readdirSync(dir).filter((name) => name.endsWith('.conf'));
    assert.ok(names.length >= 20);
    for (const name of names) {
        const how = await run(NOTIFYD, ['-c', path.join(dir, name)], { env: {} });
        assert.ok(how.code > 0, `${name} was taken`);
        const expected = /^\/\/ expect: (.*)$/m.exec(fs.readFileSync(path.join(dir, name), 'utf8'))[1];
        assert.ok(how.err.includes(expected), `${name}: ${how.err}`);
    }
});
test('the example configuration starts and serves', async (t) => {
    const redis = await Redis.start(t);
    const { secrets } = await files();
    const args = ['--auth:secretFile', secrets[0], '--port', '0', '--host', '127.0.0.1', '--socket.io:redis:port', String(redis.port)];
    const example = fs.readFileSync(path.join(ROOT, 'etc/axr-notifyd.conf'), 'utf8');
    const daemon = await Daemon.start(t, { redis, text: example, args: [...args, '--pidFile', '', '--user', '', '--group', '', '--log:target', 'stderr', '--shutdownTimeout', '300'] });
    const client = await joined(daemon.addr, daemon.token('u'));
    t.after(() => client.destroy());
    redis.emitter().emit('msg', 'hello');
    assert.deepStrictEqual(await heardArgs(redis, [client]), [['hello']]);
});
test('what overrides is in force: the environment\'s namespace, the command line\'s key and path', async (t) => {
    const redis = await Redis.start(t);
    const config = { 'socket.io': { namespace: '/file', key: 'file' }, path: '/file' };
    const env = { AXR_NOTIFYD__SOCKET_IO__NAMESPACE: '/env', AXR_NOTIFYD__SOCKET_IO__KEY: 'env', AXR_NOTIFYD__PATH: '/env' };
    const args = ['--socket.io:key', 'line', '--path=/line'];
    const daemon = await Daemon.start(t, { redis, config, env, args });
    const client = await Raw.open(daemon.addr, { path: '/line/' });
    t.after(() => client.destroy());
    await client.join('/env', { token: daemon.token('u') });
    redis.emitter('/env', { key: 'line' }).emit('msg', 'hello');
    assert.deepStrictEqual((await client.event()).args, ['msg', 'hello']);
});
