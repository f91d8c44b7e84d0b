'use strict';
/* Certificates, made here and now: authorities and what they issue, good ones and such as are
 * refused.  In PEM; nothing is read from the machine, and nothing is left on it. */
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const DAY_MS = 86400000;

/* --- DER --- */

function der(tag, ...parts) {
    const body = Buffer.concat(parts);
    if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
    const digits = body.length.toString(16);
    const length = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
    return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}
const sequence = (...parts) => der(0x30, ...parts);
const octets = (...parts) => der(0x04, ...parts);
const tagged = (number, ...parts) => der(0xa0 | number, ...parts);
const TRUE = der(0x01, Buffer.from([0xff]));

function oid(text) {
    const [first, second, ...rest] = text.split('.').map(Number);
    const bytes = [first * 40 + second];
    for (let arc of rest) {
        const group = [arc & 127];
        while ((arc >>= 7)) group.unshift(0x80 | (arc & 127));
        bytes.push(...group);
    }
    return der(0x06, Buffer.from(bytes));
}

/* Until 2049 two digits of the year, from then on four. */
function time(ms) {
    const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '');
    return text < '2050' ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}
const nameOf = (text) => sequence(der(0x31, sequence(oid('2.5.4.3'), der(0x0c, Buffer.from(text)))));

/* "::1" -> its 16 bytes. */
function addressOf(text) {
    if (!text.includes(':')) return Buffer.from(text.split('.').map(Number));
    const [head, tail] = text.split('::').map((half) => half.split(':').filter(Boolean));
    const zeros = Array(8 - head.length - (tail || []).length).fill('0');
    return Buffer.from([...head, ...zeros, ...(tail || [])].map((group) => group.padStart(4, '0')).join(''), 'hex');
}
const isAddress = (name) => /^[\d.]+$|:/.test(name);
const altName = (name) => (isAddress(name) ? der(0x87, addressOf(name)) : der(0x82, Buffer.from(name)));

/* --- certificates --- */

const KEYS = {
    ec: () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    p384: () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    rsa: () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
    rsa1024: () => crypto.generateKeyPairSync('rsa', { modulusLength: 1024 }),
    ed25519: () => crypto.generateKeyPairSync('ed25519'),
};
/* How a key signs: its AlgorithmIdentifier, and the digest for crypto.sign(). */
function signer(key) {
    switch (key.asymmetricKeyType) {
    case 'ec':
        return { algorithm: sequence(oid('1.2.840.10045.4.3.2')), digest: 'sha256' };
    case 'rsa':
        return { algorithm: sequence(oid('1.2.840.113549.1.1.11'), der(0x05)), digest: 'sha256' };
    default:
        return { algorithm: sequence(oid('1.3.101.112')), digest: null };
    }
}
const pem = (what, bytes) =>
    `-----BEGIN ${what}-----\n${bytes.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END ${what}-----\n`;
const spkiOf = (key) => key.export({ type: 'spki', format: 'der' });
/* What names a key: the hash of all its bytes here. */
const keyId = (key) => crypto.createHash('sha1').update(spkiOf(key)).digest();

function extensions(how, key, issuerKey) {
    const one = (id, critical, value) => sequence(oid(id), ...(critical ? [TRUE] : []), octets(value));
    const list = [
        one('2.5.29.19', true, sequence(...(how.authority ? [TRUE] : []))),
        one('2.5.29.15', true, der(0x03, Buffer.from(how.authority ? [1, 0x06] : [5, 0xa0]))),
        one('2.5.29.14', false, octets(keyId(key))),
        one('2.5.29.35', false, sequence(der(0x80, keyId(issuerKey)))),
    ];
    if (how.names.length) list.push(one('2.5.29.17', false, sequence(...how.names.map(altName))));
    return tagged(3, sequence(...list));
}

/* A certificate of how (see issue()) with the key that is in it, signed by issuer. */
function certificate(how, pair, issuer) {
    const { algorithm, digest } = signer(issuer.privateKey);
    const body = sequence(
        tagged(0, der(0x02, Buffer.from([2]))),
        der(0x02, Buffer.concat([Buffer.from([1]), crypto.randomBytes(15)])),
        algorithm, nameOf(issuer.name), sequence(time(how.from), time(how.to)), nameOf(how.name), spkiOf(pair.publicKey),
        extensions(how, pair.publicKey, issuer.publicKey)
    );
    const signature = der(0x03, Buffer.from([0]), crypto.sign(digest, body, issuer.privateKey));
    return pem('CERTIFICATE', sequence(body, algorithm, signature));
}

/* .cert, .key: its own, in PEM; .chain: with all below the root, as a server sends them; .root:
 * what its peers trust. */
class Certificate {
    constructor(fields) {
        Object.assign(this, fields);
        this.key = this.privateKey.export({ type: 'pkcs8', format: 'pem' });
    }
    /* Of an authority: one more, with how
     *     names      of hosts and addresses (none)      name     the common name (the first of names)
     *     type       of the key, see KEYS (ec)          pair     a key that there is
     *     from, to   milliseconds since 1970 (a day ago, in 30 days)
     *     authority  true: it may issue others */
    issue(options = {}) {
        const { names = [], type = 'ec', pair = KEYS[type]() } = options;
        const now = Date.now();
        const how = { name: names[0] || 'nobody', from: now - DAY_MS, to: now + 30 * DAY_MS, ...options, names };
        const cert = certificate(how, pair, this);
        return new Certificate({ ...pair, name: how.name, cert, chain: cert + this.chain, root: this.root });
    }
    /* Hash of its public key, as browsers pin it. */
    get pin() {
        return crypto.createHash('sha256').update(spkiOf(this.publicKey)).digest('base64');
    }
    /* Writes NAME.crt (the chain) and NAME.key below dir, and returns the settings for them. */
    write(dir, name = 'server') {
        const files = { certFile: path.join(dir, `${name}.crt`), keyFile: path.join(dir, `${name}.key`) };
        fs.writeFileSync(files.certFile, this.chain);
        fs.writeFileSync(files.keyFile, this.key, { mode: 0o600 });
        return files;
    }
}

/* An authority that has signed itself; options as for issue(). */
function authority(name = 'authority of the tests', options = {}) {
    const { type = 'ec', pair = KEYS[type]() } = options;
    const now = Date.now();
    const how = { from: now - DAY_MS, to: now + 60 * DAY_MS, ...options, name, names: [], authority: true };
    const root = certificate(how, pair, { ...pair, name });
    return new Certificate({ ...pair, name, cert: root, chain: '', root });
}

/* One that nobody has signed but itself. */
function selfSigned(options = {}) {
    const { names = ['localhost'], type = 'ec', pair = KEYS[type]() } = options;
    const now = Date.now();
    const how = { name: names[0], from: now - DAY_MS, to: now + 30 * DAY_MS, ...options, names };
    const cert = certificate(how, pair, { ...pair, name: how.name });
    return new Certificate({ ...pair, name: how.name, cert, chain: cert, root: cert });
}

const LOCAL = ['localhost', '127.0.0.1', '::1'];

module.exports = { authority, selfSigned, LOCAL, DAY_MS };
