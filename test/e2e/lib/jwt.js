'use strict';
/* JSON Web Tokens (RFC 7519), good ones and forged ones. */
const crypto = require('crypto');

const base64url = (data) => Buffer.from(data).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

function signature(alg, key, input) {
    const hash = `sha${alg.slice(2)}`;
    switch (alg.slice(0, 2)) {
        case 'HS':
            return crypto.createHmac(hash, key).update(input).digest('base64url');
        case 'RS':
            return crypto.sign(hash, Buffer.from(input), key).toString('base64url');
        case 'ES':
            return crypto.sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
                .toString('base64url');
        default:
            return '';
    }
}

/* claims: an object, or the JSON text itself (for numbers that JavaScript has not). */
function sign(claims, key, alg = 'HS256', header = {}) {
    const body = typeof claims === 'string' ? claims : JSON.stringify(claims);
    const input = `${base64url(JSON.stringify({ alg, typ: 'JWT', ...header }))}.${base64url(body)}`;
    return `${input}.${signature(alg, key, input)}`;
}

/* Resolves to what join(exp) does, a client whose token is over at exp: in so many seconds, or
 * in more where that has not been enough to come in. */
async function expiring(join, seconds = 2) {
    for (let life = seconds; ; life *= 2) {
        const exp = now() + life;
        try {
            return await join(exp);
        } catch (error) {
            if (now() < exp) throw error;
        }
    }
}

module.exports = { sign, now, expiring };
