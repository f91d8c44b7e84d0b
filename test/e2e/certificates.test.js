'use strict';
/* Certificates: what -t says of them, how new ones come into force by HUP and by themselves,
 * that a bad one never does, and that nobody notices who is connected or connects. */
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const tls = require('tls');
const { test, shared, keep, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, NOTIFYD, SECRET } = require('./lib/daemon');
const { joined } = require('./lib/raw');
const { authority, selfSigned, LOCAL, DAY_MS } = require('./lib/certificates');
const { askJson, scrape } = require('./lib/metrics');
const { change, relive, reload, renew, taken } = require('./lib/reload');
const { run, tempDir } = require('./lib/proc');
const { within, until } = require('./lib/time');

const root = authority();
const redisServer = shared((s) => Redis.start(s));

const issue = (options = {}) => root.issue({ names: LOCAL, ...options });
/* Over what is there, as a program that renews it does. */
function put(file, text, options = { mode: 0o600 }) {
    fs.writeFileSync(`${file}.new`, text, options);
    fs.renameSync(`${file}.new`, file);
}
function replace(daemon, certificate) {
    put(daemon.config.tls.certFile, certificate.chain);
    put(daemon.config.tls.keyFile, certificate.key);
}

/* Who is it that answers there?  Resolves to its certificate, once the handshake is over. */
function shown(addr, options = {}) {
    return new Promise((resolve, reject) => {
        const socket = tls.connect({ ...addr, ca: root.root, servername: 'localhost', ...options }, () => {
            const own = socket.getPeerX509Certificate().toString();
            socket.destroy();
            resolve(own);
        });
        socket.once('error', reject);
    });
}
function cipherOf(addr, version) {
    return new Promise((resolve, reject) => {
        const socket = tls.connect({ ...addr, ca: root.root, servername: 'localhost', maxVersion: version }, () => {
            resolve(socket.getCipher().name);
            socket.destroy();
        });
        socket.once('error', reject);
    });
}
/* Each worker shows it, of whom any may answer. */
async function isShown(daemon, certificate, what) {
    for (let i = 0; i < 6; i++) assert.strictEqual(await shown(daemon.addr), certificate.cert, what);
}
/* From some time soon on; who comes before that may meet workers that do not speak TLS yet. */
const isServed = (daemon, certificate, what) =>
    until(async () => (await Promise.all([1, 2, 3, 4, 5, 6].map(() => shown(daemon.addr).catch(String)))).every((one) => one === certificate.cert),
        within(3000), what);

/* A daemon with that certificate, and a client that is to stay. */
async function start(t, certificate = issue(), { config = {}, ...rest } = {}) {
    const daemon = new Daemon(t, { redis: await redisServer(), tls: true, config, ...rest });
    replace(daemon, certificate);
    daemon.certificate.root = root.root;
    daemon.spawn();
    await daemon.ready();
    return daemon;
}
async function steady(t, daemon, uid = 'steady') {
    return keep(t, await joined(daemon.addr, daemon.token(uid)));
}
async function isThere(daemon, client, uid = 'steady') {
    await daemon.notify(['--to', uid, 'news', '"still"']);
    assert.deepStrictEqual((await client.event()).args, ['news', 'still']);
}

/* --- -t --- */

/* What -t says: { code, out, err } */
function judge(files, more = []) {
    const given = Object.entries(files).flatMap(([key, file]) => [`--tls:${key}`, file]);
    return run(NOTIFYD, ['-t', '-c', '/dev/null', '--auth:secret', SECRET, ...given, ...more]);
}
const isGood = (how) => assert.strictEqual(how.code, 0, how.err);

test('-t: names, key, end, and who speaks what', async (t) => {
    const dir = tempDir(t);
    const middle = root.issue({ name: 'between', authority: true, to: Date.now() + 3.5 * DAY_MS });
    const ec = middle.issue({ names: ['one.example', '*.one.example', '192.0.2.1', '2001:db8::1'], type: 'p384' });
    const files = ec.write(dir);
    const rsa = issue({ names: ['one.example'], type: 'rsa' }).write(dir, 'rsa');
    const how = await judge({ ...files, certificates: JSON.stringify([rsa]) },
        ['--listen', '[{"address":"127.0.0.1:3443"},{"address":80,"tls":false},"unix:/s"]']);
    isGood(how);
    assert.match(how.out, /^certificate: one\.example, \*\.one\.example, 192\.0\.2\.1, 2001:db8::1; ECDSA P-384, until 20\S+Z, 3 days left {2}\(/m);
    assert.match(how.out, /^certificate: one\.example; RSA 2048, until 20\S+Z, (?:29|30) days left {2}\(command line, tls:certificates:0 ".*rsa\.crt"\)$/m);
    assert.match(how.out, /^listener: 127\.0\.0\.1:3443 {2}TLS\nlistener: \*:80 {2}plain\nlistener: unix:\/s {2}plain$/m);
    assert.ok(!`${how.out}${how.err}`.includes('PRIVATE'), 'no key');
});

/* Each with what it writes into a directory, and what -t says to it. */
const good = issue();
const middle = root.issue({ name: 'between', authority: true });
const FAULTS = {
    'no certificate': [{ cert: '' }, /server\.crt: found no certificate in PEM, wanted -----BEGIN CERTIFICATE-----/],
    'no key': [{ key: 'none\n' }, /server\.key: found no private key in PEM/],
    'half a certificate': [{ cert: good.cert.slice(0, 300) }, /server\.crt: found a text that is cut off within its CERTIFICATE/],
    'half a chain': [{ cert: good.cert + middle.cert.slice(0, 300) }, /server\.crt: found a text that is cut off/],
    'half a key': [{ key: good.key.slice(0, 100) }, /server\.key: found a text that is cut off within its PRIVATE KEY/],
    'a damaged certificate': [{ cert: good.cert.replace(/\n..../, '\nAAAA') }, /server\.crt: certificate 1 cannot be read: it is damaged/],
    'DER': [{ cert: Buffer.from(good.cert.replace(/-----.*-----|\n/g, ''), 'base64') }, /server\.crt: found DER, wanted PEM/],
    'the key of another': [{ key: issue().key }, /server\.key: the private key does not belong to the certificate/],
    'an encrypted key': [
        { key: good.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'word' }) },
        /server\.key: the private key is encrypted, wanted one without a passphrase/,
    ],
    'the chain in front': [{ cert: middle.cert + middle.issue({ names: LOCAL, pair: good }).cert }, /the private key is that of certificate 2 of the chain, wanted the server's own first/],
    'a weak key': [issue({ type: 'rsa1024' }), /server\.crt: certificate 1 has a key of 1024 bits/],
    'no name': [root.issue({ name: 'A Server' }), /server\.crt: the certificate names no host/],
    'not there': [{ cert: null }, /server\.crt: cannot read it: No such file or directory/],
};
const WARNINGS = {
    'expired': [issue({ from: Date.now() - 9 * DAY_MS, to: Date.now() - DAY_MS }), /server\.crt: it has expired: it is valid until 20\S+Z$/m],
    'to come': [issue({ from: Date.now() + DAY_MS }), /server\.crt: it is not valid yet, but from 20\S+Z on$/m],
    'an incomplete chain': [{ cert: middle.issue({ names: LOCAL, pair: good }).cert }, /the chain ends with a certificate issued by "CN = between"/],
    'another order': [{ cert: middle.issue({ names: LOCAL, pair: good }).cert + root.root + middle.cert }, /certificate 2 of the chain has not issued the one before it/],
    'a kind that browsers do not know': [issue({ type: 'ed25519' }), /not all browsers take a key of this kind \(Ed25519\)/],
};
function write(dir, { cert, chain, key = good.key }) {
    const files = { certFile: path.join(dir, 'server.crt'), keyFile: path.join(dir, 'server.key') };
    const text = chain !== undefined ? chain : cert !== undefined ? cert : good.chain;
    if (text !== null) fs.writeFileSync(files.certFile, text);
    fs.writeFileSync(files.keyFile, key, { mode: 0o600 });
    return files;
}
test('-t names what is wrong with a certificate, and warns of what only some clients mind', async (t) => {
    await Promise.all(Object.entries(FAULTS).map(async ([name, [what, words]]) => {
        const how = await judge(write(tempDir(t), what));
        assert.deepStrictEqual([how.code, how.out], [1, ''], name);
        assert.match(how.err, words, name);
    }));
    await Promise.all(Object.entries(WARNINGS).map(async ([name, [what, words]]) => {
        const how = await judge(write(tempDir(t), what));
        isGood(how);
        assert.match(how.out, /^certificate: /m, name);
        assert.match(how.err, words, name);
    }));
    const open = write(tempDir(t), {});
    fs.chmodSync(open.keyFile, 0o644);
    assert.match((await judge(open)).err, /server\.key: a private key, and the file may be read by everyone/);
});

/* --- into force --- */

test('HUP: new connections get the new certificate, who is connected stays, and it is told', async (t) => {
    const first = issue();
    const daemon = await start(t, first);
    const client = await steady(t, daemon);
    const pids = daemon.workers();
    await isShown(daemon, first, 'that of the start');
    let second, from, looks = 0;
    const byItself = () => /tls: another certificate is in force/.test(daemon.log.slice(from));
    for (;; looks++) { /* until HUP comes before the daemon has looked at the files by itself */
        second = issue({ type: 'rsa', to: Date.now() + 40 * DAY_MS + 60000 });
        from = daemon.log.length;
        replace(daemon, second);
        await reload(daemon, {});
        if (!byItself()) break;
    }
    assert.match(daemon.log.slice(from), /configuration reloaded; changed: tls \(a certificate\)$/m);
    await taken(daemon, from);
    await isShown(daemon, second, 'the new one');
    const third = issue({ to: Date.now() + 50 * DAY_MS + 60000 });
    daemon.config.tls = third.write(daemon.dir, 'third');
    assert.match(await relive(daemon, { tls: { minVersion: 'TLSv1.3' } }), /changed: tls \(a certificate\), tls:minVersion$/m);
    await isShown(daemon, third, 'of other files');
    await assert.rejects(shown(daemon.addr, { maxVersion: 'TLSv1.2' }));
    const ciphers = { ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305', cipherSuites: 'TLS_AES_128_GCM_SHA256' };
    assert.match(await relive(daemon, { tls: { minVersion: undefined, ...ciphers } }), /changed: tls:minVersion, tls:ciphers, tls:cipherSuites$/m);
    assert.deepStrictEqual([await cipherOf(daemon.addr, 'TLSv1.2'), await cipherOf(daemon.addr, 'TLSv1.3')], Object.values(ciphers));
    await isThere(daemon, client);
    assert.deepStrictEqual(daemon.workers(), pids, 'the same workers');
    const metrics = await scrape(daemon);
    assert.strictEqual(metrics.get('tls_reloads_total', 'result="ok"'), 2 + looks);
    const left = metrics.get('tls_certificate_expiry_seconds', 'name="localhost"');
    assert.ok(left > 49.9 * 86400 && left < 50.1 * 86400, `${left} seconds`);
    const { tls: told } = await askJson(daemon, '/status');
    assert.deepStrictEqual(told.certificates.map(({ names, key, daysLeft }) => ({ names, key, daysLeft })),
        [{ names: LOCAL, key: 'ECDSA P-256', daysLeft: 50 }]);
    assert.strictEqual(told.certificates[0].notAfter, new Date(new crypto.X509Certificate(third.cert).validTo).toISOString().replace('.000', ''));
});

test('a certificate beside it, and TLS as a whole: from none to some and back', async (t) => {
    const listen = ['127.0.0.1:0', `unix:${path.join(tempDir(t), 's')}`];
    const daemon = await Daemon.start(t, { redis: await redisServer(), tls: false, config: { port: undefined, host: undefined, listen } });
    const plain = keep(t, await joined(daemon.addrs[1], daemon.token('plain')));
    const one = issue();
    const two = issue({ names: ['two.example'] });
    await renew(daemon, { tls: one.write(daemon.dir), drainTimeout: 1000 }, { left: false });
    await isServed({ addr: daemon.addr }, one, 'TLS');
    await relive(daemon, { tls: { certificates: [two.write(daemon.dir, 'two')] } });
    assert.strictEqual(await shown(daemon.addr, { servername: 'two.example' }), two.cert);
    assert.strictEqual(await shown(daemon.addr, { servername: 'three.example', checkServerIdentity: () => undefined }), one.cert);
    await renew(daemon, { tls: undefined }, { left: false });
    const again = { ...daemon.addr, tls: undefined };
    await until(() => joined(again, daemon.token('plain')).then((late) => late.destroy() || true, () => false), within(3000), 'plain');
    plain.destroy();
});

/* Both take the time of a few looks. */
async function filesChange(t) {
    const [one, two, three] = [issue(), issue(), issue({ type: 'p384' })];
    const daemon = new Daemon(t, { redis: await redisServer(), tls: true });
    const archive = (n) => ({ certFile: path.join(daemon.dir, `fullchain${n}.pem`), keyFile: path.join(daemon.dir, `privkey${n}.pem`) });
    for (const [n, certificate] of [one, two].entries()) {
        fs.writeFileSync(archive(n).certFile, certificate.chain);
        fs.writeFileSync(archive(n).keyFile, certificate.key, { mode: 0o600 });
    }
    const { certFile, keyFile } = daemon.config.tls;
    const turn = (file, to) => {
        fs.rmSync(file, { force: true });
        fs.symlinkSync(path.basename(to), file);
    };
    turn(certFile, archive(0).certFile);
    turn(keyFile, archive(0).keyFile);
    daemon.certificate.root = root.root;
    daemon.spawn();
    await daemon.ready();
    const client = await steady(t, daemon);
    await isShown(daemon, one, 'at the end of a link');
    turn(certFile, archive(1).certFile);
    turn(keyFile, archive(1).keyFile);
    await daemon.logged(/tls: another certificate is in force: localhost, 127\.0\.0\.1, ::1: valid until 20/, within(4000));
    await isServed(daemon, two, 'the other end');
    put(certFile, three.chain); /* in place of the link */
    await isShown(daemon, two, 'half of it');
    put(keyFile, three.key);
    await isServed(daemon, three, 'a file again');
    await isThere(daemon, client);
    assert.doesNotMatch(daemon.log, /stays as it is/, 'nothing was wrong for long');
    assert.strictEqual((await scrape(daemon)).get('tls_reloads_total', 'result="failed"'), 0);
}

async function filesStayBad(t) {
    const one = issue();
    const daemon = await start(t, one);
    const from = daemon.log.length;
    put(daemon.config.tls.keyFile, good.key);
    await daemon.logged(/the certificate stays as it is: tls:keyFile: .*does not belong/, within(8000));
    await isShown(daemon, one, 'the old one');
    assert.strictEqual(daemon.log.slice(from).match(/stays as it is/g).length, 1, 'said once');
    assert.strictEqual((await scrape(daemon)).get('tls_reloads_total', 'result="failed"'), 1);
}
test('files that change: renamed over, and links that certbot turns, chain and key one after the other; those that stay bad',
    async (t) => void (await Promise.all([filesChange(t), filesStayBad(t)])));

/* --- bad ones --- */

test('a reload with a bad certificate changes nothing, and says why; one that has expired is not taken for a good one', async (t) => {
    const one = issue();
    const daemon = await start(t, one);
    const client = await steady(t, daemon);
    const { certFile, keyFile } = daemon.config.tls;
    const bad = {
        'a key that does not fit': [[good.chain, one.key], /tls:keyFile: .*server\.key: the private key does not belong/],
        'half a file': [[one.chain.slice(0, 400), one.key], /tls:certFile: .*server\.crt: found a text that is cut off/],
        'an empty file': [['', one.key], /found no certificate in PEM/],
        'a weak key': [[issue({ type: 'rsa1024' }).chain, one.key], /tls:/],
        'an expired one': [
            (({ chain, key }) => [chain, key])(issue({ from: Date.now() - 9 * DAY_MS, to: Date.now() - DAY_MS })),
            /tls: .*server\.crt: it has expired, and the certificate in force is good/,
        ],
    };
    for (const [name, [[chain, key], words]] of Object.entries(bad)) {
        put(certFile, chain);
        put(keyFile, key);
        const log = await reload(daemon, { log: { level: 'info' } });
        assert.match(log, words, name);
        assert.match(log, /not reloaded: the old one stays in force/, name);
        await isShown(daemon, one, name);
    }
    replace(daemon, good);
    await reload(daemon, { log: { level: 'debug' } }, /configuration reloaded/);
    await isServed(daemon, good, 'a good one');
    await isThere(daemon, client);
});

test('at the start there is no other: an expired one serves, and is said to have ended; one that ends soon is warned of', async (t) => {
    const soon = issue({ names: ['soon.example'], to: Date.now() + 5.5 * DAY_MS });
    const dir = tempDir(t);
    const daemon = await start(t, issue({ from: Date.now() - 9 * DAY_MS, to: Date.now() - DAY_MS }), { config: { tls: { certificates: [soon.write(dir)] } } });
    assert.match(daemon.log, /warning: .*server\.crt: it has expired/);
    await daemon.logged(/error master\[\d+\]: tls: a certificate has expired: localhost/);
    await daemon.logged(/warn master\[\d+\]: tls: a certificate expires in 5 days: soon\.example: valid until /);
    await assert.rejects(shown(daemon.addr), { code: 'CERT_HAS_EXPIRED' });
    const left = (await scrape(daemon)).get('tls_certificate_expiry_seconds', 'name="localhost"');
    assert.ok(left < -86000 && left > -87000, `${left} seconds`);
});

test('a key that only root may read: after the drop of privileges it stays in force, and the rest of a reload is done', async (t) => {
    const one = issue();
    const daemon = new Daemon(t, { redis: await redisServer(), tls: true, config: { user: 'nobody', group: 'nogroup' } });
    replace(daemon, one);
    fs.chmodSync(daemon.dir, 0o755);
    fs.chmodSync(daemon.file, 0o644);
    fs.chmodSync(daemon.config.tls.certFile, 0o644);
    const checked = await run(NOTIFYD, ['-t', '-c', daemon.file], { cwd: daemon.dir });
    isGood(checked);
    assert.match(checked.err, /warning: tls: .*server\.crt and its key cannot be read by the user that the daemon runs as: new ones come into force with a restart only/);
    daemon.certificate.root = root.root;
    daemon.spawn();
    await daemon.ready();
    assert.match(daemon.log, /warn .*server\.crt and its key cannot be read by the user that the daemon runs as/);
    replace(daemon, good);
    fs.chmodSync(daemon.config.tls.certFile, 0o644);
    change(daemon, { limits: { roomsPerClient: 77 } });
    fs.chmodSync(daemon.file, 0o644);
    const from = daemon.log.length;
    daemon.signal('SIGHUP');
    await daemon.logged(/configuration reloaded; changed: limits:roomsPerClient$/m, within(3000), from);
    assert.match(daemon.log.slice(from), /warn .*cannot read .*server\.crt and its key as the user that this runs as: the certificate in force stays until a restart/);
    await isShown(daemon, one, 'what is in force');
    const metrics = await scrape(daemon);
    assert.strictEqual(metrics.get('tls_reloads_total', 'result="failed"'), 1);
    assert.strictEqual(metrics.get('reloads_total', 'result="ok"'), 1);
}, { root: true });

/* --- under load --- */

/* Connections all the time, so many a second, also where a busy machine makes some begin late;
 * stop() resolves to how they ended. */
const UNDER_WAY = 16;
function storm(addr, perSecond) {
    const how = { good: 0, failed: [], began: Date.now() };
    const under = new Set();
    let begun = 0;
    const begin = () => {
        const one = shown(addr).then(() => how.good++, (error) => how.failed.push(error)).finally(() => under.delete(one));
        under.add(one);
        begun++;
    };
    const timer = setInterval(() => {
        const due = ((Date.now() - how.began) * perSecond) / 1000;
        while (begun < due && under.size < UNDER_WAY) begin();
    }, 5);
    return {
        how,
        async stop() {
            clearInterval(timer);
            await Promise.all(under);
            return how;
        },
    };
}
const LONG = mode === 'long';
test('certificates that change all the time while clients connect: none fails', async (t) => {
    const [times, perSecond] = LONG ? [100, 200] : [10, 100];
    const all = [issue(), issue(), issue({ type: 'p384' })];
    const daemon = await start(t, all[0], { config: { workers: 2, log: { level: 'info' } } });
    const client = await steady(t, daemon);
    const load = storm(daemon.addr, perSecond);
    for (let i = 1; i <= times; i++) {
        const from = daemon.log.length;
        const before = load.how.good;
        replace(daemon, all[i % all.length]);
        daemon.signal('SIGHUP');
        await daemon.logged(/configuration reloaded|not reloaded/, within(3000), from);
        assert.doesNotMatch(daemon.log.slice(from), /not reloaded/);
        await until(() => load.how.good > before + (LONG ? 20 : 3), within(2000), 'clients connect');
    }
    const { good: connected, failed, began } = await load.stop();
    const rate = Math.round((connected * 1000) / (Date.now() - began));
    assert.deepStrictEqual(failed, [], `of ${connected + failed.length}`);
    await isServed(daemon, all[times % all.length], 'the last');
    await isThere(daemon, client);
    if (LONG) console.log(`# ${times} reloads, ${connected} connections, ${rate} a second`);
}, { timeout: LONG ? 180000 : 60000 });

/* Nobody but itself has signed it, as for a first try. */
test('one that has signed itself', async (t) => {
    const own = selfSigned({ names: LOCAL });
    const daemon = await start(t, own);
    assert.doesNotMatch(daemon.log, /warn.*server\.crt/);
    assert.strictEqual(await shown(daemon.addr, { ca: own.root }), own.cert);
    await assert.rejects(shown(daemon.addr));
});
