'use strict';
/* Who is let in: every token of test/vectors/tokens.json and forged ones, by
 * every way that a token travels, over EIO4 and EIO3.  The refused are told why. */
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const zlib = require('zlib');
const { test, shared, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, ROOT, SECRET } = require('./lib/daemon');
const { Raw, OP, frame } = require('./lib/raw');
const { heardArgs } = require('./lib/hear');
const { VERSIONS, Client, connect } = require('./lib/clients');
const { sign, now, expiring } = require('./lib/jwt');
const { tempDir } = require('./lib/proc');
const { within, until, elapse } = require('./lib/time');

const { tokens: vectors } = JSON.parse(fs.readFileSync(path.join(ROOT, 'test/vectors/tokens.json'), 'utf8'));

const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const rsaOther = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = crypto.generateKeyPairSync('ec', { namedCurve: 'P-384' });
const pem = (pair) => pair.publicKey.export({ type: 'spki', format: 'pem' });
const jwk = (pair, more) => ({ ...pair.publicKey.export({ format: 'jwk' }), ...more });
const ed25519 = crypto.generateKeyPairSync('ed25519');
/* Of the daemon with many keys. */
const NEW_SECRET = 'the secret that comes after it: 0123456789';
const NAMED_SECRET = 'the secret of the key called named: 0123';
const JWKS_SECRET = 'the secret in the JWKS file: 0123456789ab';

/* Publishes to everyone, all the time that the suite runs. */
const redisAtWork = shared(async (s) => {
    const redis = await Redis.start(s);
    let seq = 0;
    const timer = setInterval(() => redis.emitter().to('allusers').emit('noise', ++seq), 2);
    s.after(() => clearInterval(timer));
    return redis;
});
const quiet = shared((s) => Redis.start(s));

const started = [];
/* A daemon with this configuration of auth. */
async function daemonWith(s, redis, auth, more = {}) {
    const daemon = await Daemon.start(s, { redis, config: { workers: 1, auth, ...more } });
    started.push(daemon);
    return daemon;
}
/* auth as the configuration has it; a public key is written to a file first. */
async function withKey(s, redis, key, auth = {}, more = {}) {
    const file = path.join(tempDir(s), 'public.pem');
    fs.writeFileSync(file, key);
    return daemonWith(s, redis, { secret: undefined, publicKeyFile: file, ...auth }, more);
}

/* Keys of every kind from every place: while they are rotated, and more. */
async function withMany(s, redis) {
    const dir = tempDir(s);
    const file = (name, text) => {
        fs.writeFileSync(path.join(dir, name), text, { mode: 0o600 });
        return path.join(dir, name);
    };
    return daemonWith(s, redis, {
        secret: [SECRET, NEW_SECRET],
        publicKeyFile: [file('rsa.pem', pem(rsa))],
        keys: [{ kid: 'named', secretFile: file('named', NAMED_SECRET), algorithms: ['HS256', 'HS512'] },
            { kid: 'curve', publicKeyFile: file('p256.pem', pem(p256)) }],
        jwksFile: file('jwks.json', JSON.stringify({ keys: [
            jwk(rsaOther, { kid: 'other', use: 'sig', alg: 'RS384' }),
            jwk(p384, { kid: 'encrypts', use: 'enc' }),
            jwk(ed25519, { kid: 'ed' }),
            { kty: 'oct', kid: 'oct', k: Buffer.from(JWKS_SECRET).toString('base64url') },
        ] })),
    });
}

const world = {
    many: shared(async (s) => withMany(s, await redisAtWork())),
    secret: shared(async (s) => daemonWith(s, await redisAtWork(), {})),
    vectors: shared(async (s) => daemonWith(s, await redisAtWork(), {
        secret: vectors[0].secret, options: { audience: vectors[0].audience, issuer: vectors[0].issuer },
    })),
    rs: shared(async (s) => withKey(s, await redisAtWork(), pem(rsa))),
    rs256: shared(async (s) => withKey(s, await redisAtWork(), pem(rsa), { options: { algorithms: ['RS256'] } })),
    es256: shared(async (s) => withKey(s, await redisAtWork(), pem(p256))),
    es384: shared(async (s) => withKey(s, await redisAtWork(), pem(p384))),
    tolerant: shared(async (s) => daemonWith(s, await redisAtWork(), { options: { clockTolerance: 60 } })),
    audience: shared(async (s) => daemonWith(s, await redisAtWork(), {
        options: { audience: ['one', 'two'], issuer: 'me' },
    })),
    typed: shared(async (s) => daemonWith(s, await redisAtWork(), { options: { types: 'Session+JWT' } })),
    quiet: shared(async (s) => daemonWith(s, await quiet(), {})),
};

/* --- the ways that a token travels --- */

const inQuery = (name) => (token) => ({ query: { [name]: token } });
const inHeader = (scheme) => (token) => ({ headers: { Authorization: `${scheme} ${token}` } });
const inPacket = (name) => (token) => ({ auth: { [name]: token } });
const WAYS = {
    4: {
        'auth object': inPacket('token'),
        'query jwt_token': inQuery('jwt_token'),
        'query auth_token': inQuery('auth_token'),
        'query token': inQuery('token'),
        'Authorization: Bearer': inHeader('Bearer'),
        cookie: (token) => ({ headers: { Cookie: `a=b; jwt=${token}; c=d` } }),
    },
    3: {
        'namespace query jwt_token': inPacket('jwt_token'),
        'namespace query auth_token': inPacket('auth_token'),
        'namespace query token': inPacket('token'),
        'query jwt_token': inQuery('jwt_token'),
        'query auth_token': inQuery('auth_token'),
        'query token': inQuery('token'),
        'Authorization: JWT': inHeader('JWT'),
        cookie: (token) => ({ headers: { Cookie: `jwt=${token}` } }),
    },
};

/* Several ways at once: the options of a client. */
function together(...parts) {
    const all = { query: {}, headers: {}, auth: {} };
    for (const part of parts)
        for (const key of Object.keys(all)) Object.assign(all[key], part[key]);
    return all;
}

/* Asks to be let in.  Resolves to { client } or to { code, message } of a
 * refusal that was as it must be; what comes after it is in refusals.test.js. */
async function ask(daemon, eio, how) {
    const client = await Raw.open(daemon.addr, { eio, query: how.query, headers: how.headers });
    try {
        client.sendText(client.connectPacket('/axr', how.auth || {}));
        const first = await client.text();
        if (first.startsWith('40/axr,')) return { client };
        assert.match(first, /^44\/axr,/);
        const reason = JSON.parse(first.slice(7));
        client.destroy();
        if (eio === 3) {
            assert.strictEqual(typeof reason, 'string');
            return { message: reason };
        }
        assert.deepStrictEqual(Object.keys(reason).sort(), ['data', 'message']);
        assert.deepStrictEqual(Object.keys(reason.data), ['code']);
        return { message: reason.message, code: reason.data.code };
    } catch (error) {
        client.destroy();
        throw error;
    }
}

/* The outcome of one token by every way: a code, or "ok". */
async function expectOutcome(daemon, token, codes) {
    const messages = new Set();
    for (const eio of [4, 3]) {
        for (const [way, carry] of Object.entries(WAYS[eio])) {
            const outcome = await ask(daemon, eio, carry(token));
            if (outcome.client) outcome.client.destroy();
            const code = outcome.client ? 'ok' : outcome.code;
            if (eio === 4) assert.ok(codes.includes(code), `EIO4, ${way}: ${code}, not ${codes}`);
            else assert.strictEqual(code === 'ok', codes.includes('ok'), `EIO3, ${way}: ${outcome.message}`);
            messages.add(outcome.message);
        }
    }
    assert.strictEqual(messages.size, 1, `one reason, however it came: ${[...messages]}`);
}

/* --- the vectors --- */

for (const vector of vectors) {
    const expected = vector.expect === 'token_ok' ? 'ok' : vector.expect;
    test(`vector ${vector.name}: ${expected} by every way`, async () => {
        const daemon = await world.vectors();
        await expectOutcome(daemon, vector.token, [expected]);
        if (expected !== 'ok') return;
        const { client } = await ask(daemon, 4, WAYS[4]['auth object'](vector.token));
        (await redisAtWork()).emitter().to(vector.uid).emit('own', vector.uid);
        for (;;) {
            const { args } = await client.event();
            if (args[0] === 'own') break;
        }
        client.destroy();
    });
}

/* --- good ones and forged ones --- */

const HOUR = 3600;
const user = (claims) => ({ uid: 'u', ...claims });
const good = () => sign(user(), SECRET);
const tampered = (token, index, text) => token.split('.').map((part, i) => (i === index ? text(part) : part)).join('.');
const flip = (part) => (part[0] === 'A' ? 'B' : 'A') + part.slice(1);
const raw = (head, body, mac) => [head, body].map((part) => Buffer.from(part).toString('base64url')).concat(mac).join('.');
const gz = (text) => zlib.gzipSync(text).toString('base64');
const MALFORMED = ['token_malformed', 'token_signature', 'token_algorithm'];

const TOKENS = {
    /* what: [daemon, token, codes that are right] */
    'a user id': ['secret', good, 'ok'],
    'HS384': ['secret', () => sign(user(), SECRET, 'HS384'), 'ok'],
    'sub only': ['secret', () => sign({ sub: 'u' }, SECRET), 'ok'],
    'a profile in gzip': ['secret', () => sign({ profile: gz('{"uid":"u"}'), compression: 'zlib' }, SECRET), 'ok'],
    'a profile that is a URL, and sub': ['secret', () => sign({ profile: 'https://example.org/u', sub: 'u' }, SECRET), 'ok'],
    'a profile that is no JSON, and sub': ['secret', () => sign({ profile: '{"uid"', sub: 'u' }, SECRET), 'ok'],
    'a profile that is null, and uid': ['secret', () => sign({ profile: null, uid: 'u', sub: 'x' }, SECRET), 'ok'],
    'a user id of 255 bytes': ['secret', () => sign({ uid: 'é'.repeat(127) + 'x' }, SECRET), 'ok'],
    'exp in the future': ['secret', () => sign(user({ exp: now() + HOUR }), SECRET), 'ok'],
    'exp in a month': ['secret', () => sign(user({ exp: now() + 31 * 24 * HOUR }), SECRET), 'ok'],
    'exp 2^53 - 1': ['secret', () => sign(user({ exp: Number.MAX_SAFE_INTEGER }), SECRET), 'ok'],
    'exp with a fraction': ['secret', () => sign(user({ exp: now() + HOUR + 0.5 }), SECRET), 'ok'],
    'exp with an exponent': ['secret', () => sign('{"uid":"u","exp":4.1e9}', SECRET), 'ok'],
    'exp in milliseconds': ['secret', () => sign(user({ exp: Date.now() + HOUR * 1000 }), SECRET), 'ok'],
    'nbf with a fraction, exp with none': ['secret', () => sign(`{"uid":"u","nbf":${now() - 1}.25,"exp":${now() + HOUR}.0}`, SECRET), 'ok'],
    'exp at the end of the year 9999': ['secret', () => sign(user({ exp: 253402300799 }), SECRET), 'ok'],
    'nbf in the past': ['secret', () => sign(user({ nbf: now() - 1 }), SECRET), 'ok'],
    'typ at+jwt': ['secret', () => sign(user(), SECRET, 'HS256', { typ: 'at+jwt' }), 'ok'],
    'typ application/JWT': ['secret', () => sign(user(), SECRET, 'HS256', { typ: 'application/JWT' }), 'ok'],
    'no typ': ['secret', () => sign(user(), SECRET, 'HS256', { typ: undefined }), 'ok'],
    'a typ that is configured': ['typed', () => sign(user(), SECRET, 'HS256', { typ: 'application/session+jwt' }), 'ok'],
    'typ JWT where another is configured': ['typed', () => sign(user(), SECRET), 'token_malformed'],
    'a typ of another purpose': ['secret', () => sign(user(), SECRET, 'HS256', { typ: 'logout+jwt' }), 'token_malformed'],
    'RS256': ['rs', () => sign(user(), rsa.privateKey, 'RS256'), 'ok'],
    'RS512 where all RS are taken': ['rs', () => sign(user(), rsa.privateKey, 'RS512'), 'ok'],
    'ES256': ['es256', () => sign(user(), p256.privateKey, 'ES256'), 'ok'],
    'ES384': ['es384', () => sign(user(), p384.privateKey, 'ES384'), 'ok'],
    'one of two audiences': ['audience', () => sign(user({ aud: 'two', iss: 'me' }), SECRET), 'ok'],
    'ours among the audiences': ['audience', () => sign(user({ aud: ['x', 'one'], iss: 'me' }), SECRET), 'ok'],
    'exp past, within the tolerance': ['tolerant', () => sign(user({ exp: now() - 10 }), SECRET), 'ok'],
    'nbf to come, within the tolerance': ['tolerant', () => sign(user({ nbf: now() + 30 }), SECRET), 'ok'],

    'one of several secrets: the first': ['many', good, 'ok'],
    'one of several secrets: the second': ['many', () => sign(user(), NEW_SECRET), 'ok'],
    'a public key beside secrets': ['many', () => sign(user(), rsa.privateKey, 'RS256'), 'ok'],
    'a key by its kid': ['many', () => sign(user(), NAMED_SECRET, 'HS512', { kid: 'named' }), 'ok'],
    'a curve by its kid': ['many', () => sign(user(), p256.privateKey, 'ES256', { kid: 'curve' }), 'ok'],
    'a named key without a kid': ['many', () => sign(user(), NAMED_SECRET), 'ok'],
    'a nameless key under a kid that is not known': ['many', () => sign(user(), SECRET, 'HS256', { kid: 'x' }), 'ok'],
    'a nameless key under the kid of another': ['many', () => sign(user(), SECRET, 'HS256', { kid: 'named' }), 'ok'],
    'a key of the JWKS file': ['many', () => sign(user(), rsaOther.privateKey, 'RS384', { kid: 'other' }), 'ok'],
    'a secret of the JWKS file': ['many', () => sign(user(), JWKS_SECRET, 'HS384', { kid: 'oct' }), 'ok'],
    'a named key under the kid of another': ['many', () => sign(user(), NAMED_SECRET, 'HS256', { kid: 'oct' }), 'token_signature'],
    'a named key under a kid that is not known': ['many', () => sign(user(), NAMED_SECRET, 'HS256', { kid: 'x' }), 'token_signature'],
    'a key for an algorithm that it is not for': ['many', () => sign(user(), NAMED_SECRET, 'HS384', { kid: 'named' }), 'token_signature'],
    'RS256 by a JWK for RS384': ['many', () => sign(user(), rsaOther.privateKey, 'RS256', { kid: 'other' }), 'token_signature'],
    'a JWK for encryption': ['many', () => sign(user(), p384.privateKey, 'ES384', { kid: 'encrypts' }), 'token_algorithm'],
    'HS256 with one PEM of many': ['many', () => sign(user(), pem(rsa)), 'token_signature'],
    'HS256 with the PEM of a JWK': ['many', () => sign(user(), pem(rsaOther), 'HS256', { kid: 'other' }), 'token_signature'],
    'HS256 with the modulus of a JWK': ['many', () => sign(user(), Buffer.from(jwk(rsaOther).n, 'base64url'), 'HS256', { kid: 'other' }), 'token_signature'],
    'RS256 that is an HMAC': ['many', () => sign(user(), SECRET, 'HS256', { alg: 'RS256' }), 'token_signature'],
    'a kid that is a number': ['many', () => sign(user(), SECRET, 'HS256', { kid: 1 }), 'token_malformed'],
    'a kid with NUL in it': ['many', () => sign(user(), SECRET, 'HS256', { kid: 'named\u0000' }), 'token_malformed'],

    'alg none': ['secret', () => raw('{"alg":"none"}', '{"uid":"u"}', ''), 'token_algorithm'],
    'alg NONE with a signature': ['secret', () => raw('{"alg":"NONE"}', '{"uid":"u"}', 'AAAA'), 'token_algorithm'],
    'alg none where a public key is': ['rs', () => raw('{"alg":"none"}', '{"uid":"u"}', ''), 'token_algorithm'],
    'no alg': ['secret', () => raw('{"typ":"JWT"}', '{"uid":"u"}', 'AAAA'), ['token_algorithm', 'token_malformed']],
    'alg that is a number': ['secret', () => raw('{"alg":256}', '{"uid":"u"}', 'AAAA'), ['token_algorithm', 'token_malformed']],
    'HS256 with the public PEM': ['rs', () => sign(user(), pem(rsa)), 'token_algorithm'],
    'HS256 with the PEM of an EC key': ['es256', () => sign(user(), pem(p256)), 'token_algorithm'],
    'RS512 where RS256 is meant': ['rs256', () => sign(user(), rsa.privateKey, 'RS512'), 'token_algorithm'],
    'RS256 of another key': ['rs', () => sign(user(), rsaOther.privateKey, 'RS256'), 'token_signature'],
    'RS256 where a secret is': ['secret', () => sign(user(), rsa.privateKey, 'RS256'), 'token_algorithm'],
    'ES256 by a P-384 key': ['es256', () => sign(user(), p384.privateKey, 'ES256'), ['token_signature', 'token_algorithm']],
    'ES256 by the P-384 key that is configured': ['es384', () => sign(user(), p384.privateKey, 'ES256'), 'token_algorithm'],
    'ES384 where the key is P-256': ['es256', () => sign(user(), p384.privateKey, 'ES384'), 'token_algorithm'],
    'an empty key': ['secret', () => sign(user(), ''), 'token_signature'],
    'another key': ['secret', () => sign(user(), `${SECRET}x`), 'token_signature'],
    'a key that begins like ours': ['secret', () => sign(user(), SECRET.slice(0, -1)), 'token_signature'],
    'no signature': ['secret', () => tampered(good(), 2, () => ''), ['token_signature', 'token_malformed']],
    'a cut signature': ['secret', () => good().slice(0, -4), ['token_signature', 'token_malformed']],
    'a changed signature': ['secret', () => tampered(good(), 2, flip), 'token_signature'],
    'changed claims': ['secret', () => tampered(good(), 1, () => Buffer.from('{"uid":"admin"}').toString('base64url')), 'token_signature'],
    'two parts': ['secret', () => good().split('.').slice(0, 2).join('.'), MALFORMED],
    'four parts': ['secret', () => `${good()}.x`, MALFORMED],
    'no parts': ['secret', () => 'nonsense', MALFORMED],
    'dots': ['secret', () => '..', MALFORMED],
    'a header that is no JSON': ['secret', () => raw('{"alg":"HS256"', '{"uid":"u"}', 'AAAA'), MALFORMED],
    'claims that are no object': ['secret', () => sign('[1]', SECRET), ['token_malformed', 'token_user', 'token_claim', 'token_signature']],
    'claims that are no JSON': ['secret', () => sign('{"uid":"u"', SECRET), ['token_malformed', 'token_signature']],
    'claims with junk behind': ['secret', () => sign('{"uid":"u"} x', SECRET), ['token_malformed', 'token_signature']],
    'crit': ['secret', () => sign(user(), SECRET, 'HS256', { crit: ['exp'] }), 'token_claim'],
    'exp past': ['secret', () => sign(user({ exp: now() - 1 }), SECRET), 'token_expired'],
    'exp 0': ['secret', () => sign(user({ exp: 0 }), SECRET), 'token_expired'],
    'exp below 0': ['secret', () => sign(user({ exp: -1 }), SECRET), ['token_expired', 'token_claim']],
    'exp as a string': ['secret', () => sign(user({ exp: String(now() + HOUR) }), SECRET), 'token_claim'],
    'exp 1e19': ['secret', () => sign('{"uid":"u","exp":1e19}', SECRET), 'token_claim'],
    'exp past, with an exponent': ['secret', () => sign(`{"uid":"u","exp":${(now() - 1) / 1e9}e9}`, SECRET), 'token_expired'],
    'exp past, in milliseconds': ['secret', () => sign(user({ exp: Date.now() - 1000 }), SECRET), 'token_expired'],
    'nbf to come, with a fraction': ['secret', () => sign(user({ nbf: now() + HOUR + 0.5 }), SECRET), 'token_not_active'],
    'exp 2^64': ['secret', () => sign('{"uid":"u","exp":18446744073709551616}', SECRET), 'token_malformed'],
    'exp 1e400': ['secret', () => sign('{"uid":"u","exp":1e400}', SECRET), ['token_claim', 'token_malformed', 'token_signature']],
    'exp null': ['secret', () => sign('{"uid":"u","exp":null}', SECRET), 'token_claim'],
    'exp twice': ['secret', () => sign(`{"uid":"u","exp":${now() + HOUR},"exp":1}`, SECRET), ['token_claim', 'token_malformed', 'token_expired']],
    'nbf to come': ['secret', () => sign(user({ nbf: now() + HOUR }), SECRET), 'token_not_active'],
    'nbf as a string': ['secret', () => sign(user({ nbf: '1' }), SECRET), 'token_claim'],
    'exp past the tolerance': ['tolerant', () => sign(user({ exp: now() - 61 }), SECRET), 'token_expired'],
    'nbf beyond the tolerance': ['tolerant', () => sign(user({ nbf: now() + 70 }), SECRET), 'token_not_active'],
    'another audience': ['audience', () => sign(user({ aud: 'three', iss: 'me' }), SECRET), 'token_audience'],
    'no audience': ['audience', () => sign(user({ iss: 'me' }), SECRET), 'token_audience'],
    'aud that is a number': ['audience', () => sign(user({ aud: 1, iss: 'me' }), SECRET), ['token_claim', 'token_audience']],
    'another issuer': ['audience', () => sign(user({ aud: 'one', iss: 'you' }), SECRET), 'token_issuer'],
    'no issuer': ['audience', () => sign(user({ aud: 'one' }), SECRET), 'token_issuer'],
    'no user id': ['secret', () => sign({ name: 'x' }, SECRET), 'token_user'],
    'an empty user id': ['secret', () => sign({ uid: '' }, SECRET), 'token_user'],
    'a user id that is a number': ['secret', () => sign({ uid: 7 }, SECRET), 'token_user'],
    'a user id of 256 bytes': ['secret', () => sign({ uid: 'x'.repeat(256) }, SECRET), 'token_user'],
    'NUL in the user id': ['secret', () => sign({ uid: 'admin\u0000x' }, SECRET), ['token_user', 'token_malformed']],
    'a lone surrogate in the user id': ['secret', () => sign('{"uid":"\\ud800"}', SECRET), ['token_user', 'token_malformed']],
    'bad UTF-8 in the user id': ['secret', () => {
        const head = Buffer.from('{"alg":"HS256"}').toString('base64url');
        const body = Buffer.from('7b22756964223a22ff227d', 'hex').toString('base64url');
        const mac = crypto.createHmac('sha256', SECRET).update(`${head}.${body}`).digest('base64url');
        return `${head}.${body}.${mac}`;
    }, ['token_user', 'token_malformed']],
    'a profile without a user id': ['secret', () => sign({ profile: { name: 'x' } }, SECRET), 'token_user'],
    'a profile without a user id, and sub': ['secret', () => sign({ profile: {}, sub: 'u' }, SECRET), 'token_user'],
    'a profile that is no JSON': ['secret', () => sign({ profile: '{"uid"' }, SECRET), 'token_user'],
    'a profile that inflates to 1 MB': ['secret', () => sign({ profile: gz(`{"uid":"u","x":"${' '.repeat(1 << 20)}"}`), compression: 'zlib' }, SECRET), 'token_user'],
    'a profile that is no gzip': ['secret', () => sign({ profile: 'AAAA', compression: 'zlib' }, SECRET), 'token_user'],
    'a token of 8193 bytes': ['secret', () => sign(user({ x: 'y'.repeat(7000) }), SECRET).padEnd(8193, 'A'), 'token_too_large'],
};
for (const [what, [which, make, codes]] of Object.entries(TOKENS)) {
    const list = [].concat(codes);
    test(`${what}: ${list.join(' or ')}`, async () => expectOutcome(await world[which](), make(), list));
}

test('no token: token_missing', async () => {
    const daemon = await world.secret();
    assert.strictEqual((await ask(daemon, 4, {})).code, 'token_missing');
    assert.strictEqual((await ask(daemon, 4, { auth: { token: '' } })).code, 'token_missing');
    assert.ok((await ask(daemon, 3, {})).message);
});
test('a token in auth that is no string is refused', async () => {
    const daemon = await world.secret();
    for (const token of [1, true, [good()], { token: good() }])
        assert.match((await ask(daemon, 4, { auth: { token } })).code, /^token_(malformed|missing)$/);
});
test('schemes of Authorization, in any case; another scheme is no token', async () => {
    const daemon = await world.secret();
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'JWT', 'jwt', 'Jwt', 'Bearer  ']) {
        const { client, message } = await ask(daemon, 4, inHeader(scheme)(good()));
        assert.ok(client, `${scheme}: ${message}`);
        client.destroy();
    }
    for (const scheme of ['Basic', 'BearerX', 'Token', ''])
        assert.strictEqual((await ask(daemon, 4, inHeader(scheme)(good()))).code, 'token_missing', scheme);
});
test('tokens of 16 KB to 20 MB are refused, and nothing crashes', async () => {
    const daemon = await world.secret();
    for (const size of mode === 'long' ? [16384, 65536, 900000, 1 << 20, 20 << 20] : [16384, 1 << 20]) {
        const token = sign(user({ x: 'y'.repeat(size) }), SECRET);
        const client = await Raw.open(daemon.addr);
        client.sendText(client.connectPacket('/axr', { token }));
        if (token.length < 990000) {
            assert.match(await client.text(), /^44\/axr,.*token_too_large/);
            client.destroy();
        }
        if (token.length > 1000000) assert.strictEqual((await client.end()).code, 1009);
        for (const way of [inQuery('token'), inHeader('Bearer'), WAYS[4].cookie]) {
            const refused = await Raw.open(daemon.addr, way(token)).catch((error) => error);
            assert.ok(refused instanceof Error, 'upgraded with such a head');
            if (refused.status) assert.ok([400, 414, 431].includes(refused.status), refused.message);
        }
    }
});

/* --- several places --- */

/* In the order in which they count. */
const ORDER = {
    4: ['auth object', 'query jwt_token', 'query auth_token', 'query token', 'Authorization: Bearer', 'cookie'],
    3: ['namespace query jwt_token', 'namespace query auth_token', 'namespace query token', 'query jwt_token', 'query auth_token', 'query token', 'Authorization: JWT', 'cookie'],
};
for (const eio of [4, 3]) {
    test(`EIO${eio}: a bad token in one place does not stop a good one in a later place`, async () => {
        const daemon = await world.secret();
        const bad = sign(user({ exp: 1 }), SECRET);
        const ways = ORDER[eio].map((name) => WAYS[eio][name]);
        for (let last = 1; last < ways.length; last++) {
            const before = ways.slice(0, last).map((carry) => carry(bad));
            const { client, message } = await ask(daemon, eio, together(...before, ways[last](good())));
            assert.ok(client, `${ORDER[eio][last]}: ${message}`);
            client.destroy();
        }
    });
    test(`EIO${eio}: the reason is that of the first place`, async () => {
        const daemon = await world.secret();
        const expired = sign(user({ exp: 1 }), SECRET);
        const only = await ask(daemon, eio, WAYS[eio][ORDER[eio][0]](expired));
        const ways = ORDER[eio].map((name, index) => WAYS[eio][name](index ? 'x.y.z' : expired));
        assert.deepStrictEqual(await ask(daemon, eio, together(...ways)), only);
    });
    test(`EIO${eio}: of good ones the first place counts`, async () => {
        const daemon = await world.quiet();
        const redis = await quiet();
        for (let first = 0; first < ORDER[eio].length; first++) {
            const ways = ORDER[eio].slice(first);
            const parts = ways.map((name, index) => WAYS[eio][name](daemon.token(`user${index}`)));
            const { client } = await ask(daemon, eio, together(...parts));
            ways.forEach((_, index) => redis.emitter().to(`user${index}`).emit('msg', index));
            assert.deepStrictEqual(await heardArgs(redis, [client]), [[0]], ways[0]);
            client.destroy();
        }
    });
}

/* --- Origin --- */

const FOREIGN = 'https://evil.example';
const withOrigin = (origin) => (origin === undefined ? {} : { headers: { Origin: origin, Host: 'push.example' } });
const cookie = () => WAYS[4].cookie(good());

test('the cookie counts without Origin and with that of the host, not with another under "*"', async () => {
    const daemon = await world.secret();
    for (const [origin, counts] of [[undefined, true], ['http://push.example', true], ['https://push.example', true], [FOREIGN, false], ['null', false], ['https://push.example.evil.example', false]]) {
        const { client, code } = await ask(daemon, 4, together(cookie(), withOrigin(origin)));
        assert.strictEqual(Boolean(client), counts, `Origin ${origin}`);
        if (client) client.destroy();
        else assert.strictEqual(code, 'token_missing');
    }
    const { client } = await ask(daemon, 4, together(inPacket('token')(good()), withOrigin(FOREIGN)));
    assert.ok(client, 'a token in the auth object is good whatever the Origin');
    client.destroy();
});
test('listed origins: the cookie counts, and others are not upgraded', async (t) => {
    const listed = 'https://app.example';
    const daemon = await daemonWith(t, await redisAtWork(), {}, { cors: { origins: [listed] } });
    for (const origin of [listed, undefined]) {
        const { client } = await ask(daemon, 4, together(cookie(), withOrigin(origin)));
        assert.ok(client, `Origin ${origin}`);
        client.destroy();
    }
    for (const origin of [FOREIGN, 'null', 'https://app.example.evil.example', 'http://app.example']) {
        const how = together(inQuery('token')(good()), withOrigin(origin));
        const refused = await Raw.open(daemon.addr, how).catch((error) => error);
        assert.ok([400, 403].includes(refused.status), `Origin ${origin}: ${refused.message || 'upgraded'}`);
    }
});

/* --- while connected --- */

test('a token that expires while connected: DISCONNECT and the end within 2 s', async () => {
    const daemon = await world.quiet();
    const redis = await quiet();
    for (const eio of [4, 3]) {
        const { client, exp } = await expiring(async (end) => {
            const asked = await ask(daemon, eio, { auth: { token: sign(user({ exp: end }), SECRET) } });
            assert.ok(asked.client, asked.message);
            redis.emitter().to('u').emit('msg', 'before');
            assert.deepStrictEqual((await asked.client.event()).args, ['msg', 'before']);
            return { client: asked.client, exp: end };
        });
        assert.strictEqual(await client.text(within((exp - now() + 2) * 1000)), '41/axr,');
        const late = Date.now() - exp * 1000;
        assert.ok(late >= 0 && late < within(2000), `${late} ms after exp`);
        await client.end();
        assert.deepStrictEqual(client.frames, []);
    }
});

test('exp with a fraction, with an exponent, in milliseconds: that is when it ends', async (t) => {
    const daemon = await daemonWith(t, await quiet(), {});
    for (const [form, ms] of [[(end) => `${end}.625`, 625], [(end) => `${end / 1e9}e9`, 0], [(end) => `${end}250`, 250], [(end) => `${end}250`, 250]]) {
        const { client, exp } = await expiring(async (end) => {
            const asked = await ask(daemon, 4, { auth: { token: sign(`{"uid":"u","exp":${form(end)}}`, SECRET) } });
            assert.ok(asked.client, asked.message);
            return { client: asked.client, exp: end };
        });
        assert.strictEqual(await client.text(within((exp - now() + 2) * 1000)), '41/axr,');
        const late = Date.now() - exp * 1000 - ms;
        assert.ok(late >= 0 && late < within(2000), `${late} ms after exp`);
        client.destroy();
    }
    assert.strictEqual(daemon.log.match(/warn .*a token has an exp after the year 3000, and it is taken for milliseconds/g).length, 1);
});

test('limits:connectionsPerUser holds across workers, and a place is given back', async (t) => {
    const redis = await quiet();
    const daemon = await Daemon.start(t, { redis, config: { workers: 4, limits: { connectionsPerUser: 3 } } });
    const token = daemon.token('u');
    const clients = [];
    for (let i = 0; i < 3; i++) clients.push((await ask(daemon, 3 + (i & 1), { auth: { token } })).client);
    for (let i = 0; i < 8; i++) assert.ok((await ask(daemon, 3 + (i & 1), { auth: { token } })).message);
    const other = await ask(daemon, 4, { auth: { token: daemon.token('other') } });
    assert.ok(other.client);
    clients.pop().send(8, Buffer.from([3, 232]));
    clients.push(other.client);
    for (let end = Date.now() + within(2000); ;) {
        const again = await ask(daemon, 4, { auth: { token } });
        if (again.client) {
            again.client.destroy();
            break;
        }
        assert.ok(Date.now() < end, 'the place of the one that left was not given back');
    }
    clients.forEach((client) => client.destroy());
});

test('who asks, leaves and vanishes before it is admitted takes no place', async (t) => {
    const redis = await quiet();
    const daemon = await Daemon.start(t, { redis, config: { limits: { connectionsPerUser: 3 } } });
    const token = daemon.token('u');
    const request = frame(OP.TEXT, `40/axr,${JSON.stringify({ token })}`);
    const leave = frame(OP.TEXT, '41/axr,');
    const hasty = [[request], [request, leave], [request, leave, request], [request, leave, request, leave, request, leave]];
    for (let i = 0; i < 200; i++) {
        const client = await Raw.open(daemon.addr, { early: Buffer.concat(hasty[i % hasty.length]) });
        if (i % 3 === 0) client.destroy();
        else if (i % 3 === 1) client.socket.resetAndDestroy();
        else client.send(OP.CLOSE, Buffer.from([3, 232]));
        await client.end();
    }
    const clients = [];
    await until(async () => {
        const { client } = await ask(daemon, 4, { auth: { token } });
        if (client) clients.push(client);
        return clients.length === 3;
    }, within(2000), 'three places');
    assert.strictEqual((await ask(daemon, 4, { auth: { token } })).code, 'user_limit');
    redis.emitter().to('u').emit('msg', 'once');
    for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, ['once']);
    clients.forEach((client) => client.destroy());
});
test('the places of a worker that was killed are given back', async (t) => {
    const daemon = await Daemon.start(t, { redis: await quiet(), config: { workers: 1, limits: { connectionsPerUser: 1 } } });
    daemon.deaths = true;
    const auth = { token: daemon.token('u') };
    const { client } = await ask(daemon, 4, { auth });
    process.kill(daemon.workers()[0], 'SIGKILL');
    await client.end();
    await until(() => daemon.workers().length === 1, within(1000), 'worker replaced');
    const again = await ask(daemon, 4, { auth });
    assert.ok(again.client, again.message);
    again.client.destroy();
});

/* --- rooms --- */

const inRooms = (roomsClaim) => shared(async (s) =>
    daemonWith(s, await quiet(), { options: { roomsClaim } }, { workers: 3, limits: { roomsPerClient: 10 } }));
world.rooms = inRooms('rooms');
world.guilds = inRooms('https://issuer.example/guilds');
world.members = inRooms('profile.rooms');

/* An event to each of these rooms, with its name; resolves to what each client heard of them. */
async function sayIn(rooms, clients) {
    const redis = await quiet();
    for (const room of rooms) redis.emitter().to(room).emit('in', room);
    return heardArgs(redis, clients);
}
const enter = async (t, daemon, eio, claims) => {
    const asked = await ask(daemon, eio, { auth: { token: sign(user(claims), SECRET) } });
    assert.ok(asked.client, asked.message);
    t.after(() => asked.client.destroy());
    return asked.client;
};

test('rooms of a token are joined with the connection, and no others', async (t) => {
    const daemon = await world.rooms();
    const all = ['red', 'blue', 'green', 'u', 'allusers'];
    const want = { red: ['red', 'u', 'allusers'], both: ['red', 'blue', 'u', 'allusers'], none: ['u', 'allusers'] };
    const tokens = { red: 'red', both: ['blue', 'red', 'red', 'u', 'allusers'], none: undefined };
    for (const eio of [4, 3]) {
        for (const [name, rooms] of Object.entries(tokens)) {
            const client = await enter(t, daemon, eio, { rooms });
            /* Nothing is waited for behind the packet that says that it is in. */
            assert.deepStrictEqual(await sayIn(all, [client]), [want[name]], `EIO${eio}, ${name}`);
            client.destroy();
        }
    }
    for (const version of [2, 4]) {
        for (const transport of ['websocket', 'polling']) {
            const token = sign(user({ rooms: ['red', `room of ${version} by ${transport}`] }), SECRET);
            const client = await connect(version, daemon.addr, { token, options: { transports: [transport] } });
            t.after(() => client.close());
            (await quiet()).emitter().to(`room of ${version} by ${transport}`).emit('here', version);
            await client.when(({ events }) => events.some(([name]) => name === 'here'), within(2000), 'its room');
            client.close();
        }
    }
});

test('the claim may be called by a URL, or be a member of a profile of any form', async (t) => {
    const url = await enter(t, await world.guilds(), 4, { 'https://issuer.example/guilds': ['red'], rooms: ['blue'] });
    assert.deepStrictEqual(await sayIn(['red', 'blue'], [url]), [['red']]);
    const profile = { uid: 'p', rooms: ['red'] };
    for (const claims of [{ profile }, { profile: JSON.stringify(profile) }, { profile: gz(JSON.stringify(profile)), compression: 'zlib' }]) {
        const member = await enter(t, await world.members(), 4, { ...claims, rooms: ['blue'] });
        assert.deepStrictEqual(await sayIn(['red', 'blue', 'p'], [member]), [['red', 'p']]);
    }
    const page = await enter(t, await world.members(), 4, { profile: 'https://example.org/u', rooms: ['blue'] });
    assert.deepStrictEqual(await sayIn(['red', 'blue', 'u'], [page]), [['u']], 'a profile that is none has no rooms');
});

test('rooms that are none are a refusal that says which claim, and what it has to be', async (t) => {
    const HAS_TO = 'has to be a string or an array of strings, each of 1 to 1024 bytes, at most limits:roomsPerClient of them';
    const bad = [7, null, true, {}, '', [''], ['a', 7], [['a']], 'x'.repeat(1025), Array.from({ length: 9 }, (_, i) => `r${i}`)];
    const cases = [
        ...bad.map((rooms) => ['rooms', 'rooms', { rooms }]),
        ['guilds', 'https://issuer.example/guilds', { 'https://issuer.example/guilds': 7 }],
        ['members', 'profile.rooms', { profile: { uid: 'p', rooms: 7 } }],
    ];
    for (const [where, claim, claims] of cases) {
        for (const eio of [4, 3]) {
            const { client, code, message } = await ask(await world[where](), eio, { auth: { token: sign(user(claims), SECRET) } });
            assert.ok(!client, JSON.stringify(claims));
            if (eio === 4) assert.strictEqual(code, 'token_claim');
            assert.strictEqual(message, `A claim of the token is invalid: ${claim} ${HAS_TO}`);
        }
    }
    const most = Array.from({ length: 8 }, (_, i) => `r${i}`);
    const client = await enter(t, await world.rooms(), 4, { rooms: most });
    assert.deepStrictEqual(await sayIn(most, [client]), [most], 'as many as there may be');
    const long = await enter(t, await world.rooms(), 4, { rooms: 'x'.repeat(1024) });
    assert.deepStrictEqual(await sayIn(['x'.repeat(1024)], [long]), [['x'.repeat(1024)]], 'a name as long as it may be');
});

test('a client that leaves and comes again by the token of its handshake is in the rooms of that', async (t) => {
    const daemon = await world.rooms();
    const client = await Raw.open(daemon.addr, { query: { token: sign(user({ rooms: ['red'] }), SECRET) } });
    t.after(() => client.destroy());
    for (let stay = 0; stay < 3; stay++) {
        client.sendText('40/axr,');
        assert.match(await client.text(), /^40\/axr,/);
        assert.deepStrictEqual(await sayIn(['red', 'blue'], [client]), [['red']]);
        client.sendText('41/axr,');
    }
    /* Out of all, without a word. */
    await until(async () => {
        client.sendText('40/axr,');
        return /^40\/axr,/.test(await client.text());
    }, within(2000), 'in once more');
});

test('a renewal puts the rooms of the new token in the place of the former ones', async (t) => {
    const daemon = await world.rooms();
    const redis = await quiet();
    const all = ['red', 'blue', 'green', 'asked', 'u', 'allusers'];
    for (const version of [2, 4]) {
        const token = (rooms) => sign(user({ rooms }), SECRET);
        const client = await connect(version, daemon.addr, { token: token(['red', 'blue']) });
        t.after(() => client.close());
        const renew = (rooms) => new Promise((resolve) => {
            client.socket.emit('authenticate', token(rooms), resolve);
        });
        const hear = async () => {
            client.events.splice(0);
            for (const room of all) redis.emitter().to(room).emit('in', room);
            redis.emitter().emit('mark');
            await client.when(({ events }) => events.some(([name]) => name === 'mark'), within(2000), 'the mark');
            return client.events.filter(([name]) => name === 'in').map(([, room]) => room);
        };
        assert.deepStrictEqual(await hear(), ['red', 'blue', 'u', 'allusers']);
        redis.emitter().to('u').socketsJoin(['asked', 'green']);
        await until(async () => (await hear()).includes('asked'), within(2000), 'a room by request');
        /* What is published right behind the acknowledgement is delivered by it. */
        for (let round = 0; round < 6; round++) { /* 10 renewals at once are taken */
            const mine = ['red', 'blue'][round % 2];
            assert.deepStrictEqual(await renew([mine]), { ok: true, expires: null });
            assert.deepStrictEqual(await hear(), all.filter((room) => !['red', 'blue'].includes(room) || room === mine), `round ${round}`);
        }
        assert.deepStrictEqual(await renew(['green']), { ok: true, expires: null });
        assert.deepStrictEqual(await hear(), ['green', 'asked', 'u', 'allusers'], 'one that it is in already');
        const bad = await renew(['']);
        assert.deepStrictEqual([bad.ok, bad.code, /: rooms has to be/.test(bad.message)], [false, 'token_claim', true]);
        assert.deepStrictEqual(await hear(), ['green', 'asked', 'u', 'allusers'], 'a bad one changes nothing');
        assert.deepStrictEqual(await renew([]), { ok: true, expires: null });
        assert.deepStrictEqual(await hear(), ['asked', 'u', 'allusers'], 'whoever has put it into a room that the token named');
        client.close();
    }
});

test('no token shows in a log', async () => {
    for (const daemon of started) {
        const parts = [good(), SECRET, NEW_SECRET, NAMED_SECRET, JWKS_SECRET, vectors[0].token].flatMap((one) => one.split('.').slice(-2));
        for (const part of parts) assert.ok(!daemon.log.includes(part), `${part} is in the log`);
    }
});
