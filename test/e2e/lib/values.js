'use strict';
/* Random messages for emitters, the same for the same seed: everything that
 * JavaScript can put into one, except what makes a Node server or its clients
 * fail (reserved event names, no event name, more than 10 attachments). */

/* Reserved by clients of any generation, or meaning something to our harness. */
const RESERVED = new Set([
    'connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener', 'marker',
]);
const BINARY_MAX = 9;

/* xorshift32: small, and the same everywhere. */
class Random {
    constructor(seed) {
        this.state = seed >>> 0 || 1;
    }
    next() {
        let x = this.state;
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        this.state = x >>> 0;
        return this.state;
    }
    below(n) {
        return this.next() % n;
    }
    pick(list) {
        return list[this.below(list.length)];
    }
    chance(one, of) {
        return this.below(of) < one;
    }
    times(n, make) {
        return Array.from({ length: n }, (_, index) => make(index));
    }
}

const NUMBERS = [
    0, -0, 1, -1, 31, 32, 127, 128, 255, 256, 65535, 65536, -32, -33, -128, -129, -32768, -32769,
    2147483647, 2147483648, 4294967295, 4294967296, -2147483648, -2147483649, 1e15, 1e16, 123456789012345680000,
    Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 53, 2 ** 53 + 2, 2 ** 63, 2 ** 64, -(2 ** 63), 1e21, 1e22, 1e300, -1e300,
    0.1, 0.2 + 0.1, 1.5, -1.5, 1 / 3, 1e-7, 1e-6, 123456.789, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
    4.35, 9007199254740993, 0.000001, 1e-10, NaN, Infinity, -Infinity,
];
const CHARS = [
    'a', 'Z', '0', ' ', '"', '\\', '/', '\b', '\f', '\n', '\r', '\t', '\0', '\x01', '\x1e', '\x1f', '\x7f', '\x80', 'é', 'ß',
    '\u07ff', '\u0800', '€', '\u2028', '\u2029', '\ufeff', '\ufffd', '\uffff', '\ud7ff', '\ue000', '😀', '𝄞', '\u{10ffff}', '<', '&', ',', '[', '{', ':',
];
const LONE = ['\ud800', '\udbff', '\udc00', '\udfff'];
const DATES = [0, 1, -1, 1700000000000, 1700000000123, 4294967295000, 4294967296000, 17179869184000, -62135596800000, 8.64e15, -8.64e15, 253402300800000, NaN];

class Values {
    constructor(random) {
        this.random = random;
    }
    number() {
        const r = this.random;
        switch (r.below(6)) {
            case 0: return r.pick(NUMBERS);
            case 1: return r.below(300) - 150;
            case 2: return (r.next() - 2147483648) * (r.chance(1, 2) ? 1 : 4096);
            case 3: return r.next() / (r.next() + 1);
            case 4: return (r.next() * 2 ** 21 + r.below(2 ** 21)) * (r.chance(1, 2) ? 1 : -1);
            default: return this.anyDouble();
        }
    }
    anyDouble() {
        const bytes = Buffer.alloc(8);
        bytes.writeUInt32LE(this.random.next(), 0);
        bytes.writeUInt32LE(this.random.next(), 4);
        return bytes.readDoubleLE(0);
    }
    string() {
        const r = this.random;
        const length = r.pick([0, 1, 2, 5, 10, 31, 32, 33, 40, 255, 256, 300]);
        const text = r.times(length, () => r.pick(CHARS)).join('');
        if (r.chance(1, 400)) return text + 'é'.repeat(33000);
        return r.chance(1, 10) ? this.broken(text) : text;
    }
    /* With a lone surrogate; emitters write it in their own ways. */
    broken(text) {
        const at = this.random.below(text.length + 1);
        return text.slice(0, at) + this.random.pick(LONE) + text.slice(at);
    }
    key() {
        const r = this.random;
        const name = r.pick(['a', 'b', 'id', 'text', '0', '1', '42', '-1', '', 'é', '😀', 'a b', '"', 'num', 'toString', 'constructor', 'length']);
        return r.chance(1, 2) ? name + r.below(100) : name;
    }
    binary() {
        const r = this.random;
        const length = r.pick([0, 1, 2, 3, 7, 8, 9, 16, 17, 100, 255, 256, 1000]);
        const bytes = Buffer.alloc(length);
        for (let i = 0; i < length; i++) bytes[i] = r.next();
        const words = new Uint8Array(bytes).buffer;
        switch (r.below(9)) {
            case 0: return new Uint8Array(words);
            case 1: return words;
            case 2: return new DataView(words);
            case 3: return new Uint16Array(words.slice(0, length & ~1));
            case 4: return new Float64Array(words.slice(0, length & ~7));
            case 5: return new Int8Array(words).subarray(Math.min(1, length));
            case 6: return r.chance(1, 50) ? Buffer.alloc(70000, 7) : bytes;
            default: return bytes;
        }
    }
    date() {
        return new Date(this.random.chance(1, 2) ? this.random.pick(DATES) : this.random.next() * 1000 + this.random.below(1000));
    }
    leaf() {
        const r = this.random;
        switch (r.below(12)) {
            case 0: return null;
            case 1: return undefined;
            case 2: return r.chance(1, 2);
            case 3: case 4: case 5: return this.number();
            case 6: case 7: return this.string();
            case 8: return this.date();
            case 9: return this.left > 0 ? (this.left--, this.binary()) : 'no more binary';
            case 10: return r.pick([/x/g, new Map([[1, 2]]), new Set([1]), new Error('e'), new Number(5), new String('s'), [], {}]);
            default: return { toJSON: () => ({ json: r.below(10) }) };
        }
    }
    value(depth) {
        const r = this.random;
        if (depth <= 0 || r.chance(1, 2)) return this.leaf();
        const size = r.pick([0, 1, 1, 2, 2, 3, 5, 15, 16, 17]);
        if (r.chance(1, 2)) return r.times(Math.min(size, 4 ** depth), () => this.value(depth - 1));
        const map = {};
        for (let i = 0; i < Math.min(size, 4 ** depth); i++) map[this.key()] = this.value(depth - 1);
        return map;
    }
    deep() {
        let value = this.leaf();
        for (let i = this.random.below(90); i >= 0; i--) value = this.random.chance(1, 2) ? [value] : { d: value };
        return value;
    }
    wide() {
        const r = this.random;
        if (r.chance(1, 2)) return r.times(r.pick([300, 70000]), (index) => index & 255);
        return Object.fromEntries(r.times(r.pick([16, 300]), (index) => [`k${index}`, index]));
    }
    name() {
        const r = this.random;
        const names = ['msg', 'x', 'error', 'reconnect', 'ping', 'message', 'é', '', 'a"b', 42, 0, -1, 1.5];
        const name = r.chance(1, 4) ? this.string() : r.pick(names);
        return RESERVED.has(name) ? 'msg' : name;
    }
    /* The arguments of emit(); index is among them, so that a mix-up shows. */
    message(index) {
        const r = this.random;
        this.left = BINARY_MAX;
        const args = r.times(r.below(4), () => this.value(3));
        if (r.chance(1, 20)) args.push(this.deep());
        if (r.chance(1, 100)) args.push(this.wide());
        return [this.name(), index, ...args];
    }
}

module.exports = { Random, Values };
