'use strict';
/* Twenty calls for every emitter, and what arrives: what a server of the emitter's own
 * generation would have delivered. */
const DATE = new Date(1700000000123);
const BYTES = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 7 + 0x9a) & 255));
const LONG = 'long € '.repeat(10000);
const KEYS = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`key${i}`, i]));
const DEEP = { a: [1, { b: [{ c: null }, []] }], d: {} };
/* From this length on msgpack-js has another head byte. */
const HUGE = BYTES(70000);

/* args; arrives, where that is something else, and by, where it depends on the
 * dialect; to: what is called before emit; users: of a and b, those who get it. */
const CALLS = {
    text: { args: ['hello'] },
    nothing: { args: [] },
    numbers: { args: [0, -1, 127, 128, 255, 256, -33, -129, 65536, 2147483648, -2147483649, 9007199254740991, 1.5, 0.1, 1e-7] },
    'not numbers': { args: [NaN, Infinity, null], arrives: [null, null, null] },
    'true, false, null': { args: [true, false, null] },
    undefined: { args: [undefined, 1], arrives: [null, 1] },
    'undefined between numbers': { args: [1, undefined, 2], arrives: [1, null, 2] },
    'undefined in a map': {
        args: [{ a: undefined, b: 1 }], arrives: [{ b: 1 }],
        by: { 'msgpack-lite': [{ a: null, b: 1 }] },
    },
    unicode: { args: ['hé€😀', { 'ключ': '\u2028\u0000"\\' }] },
    'strings of every length': { large: true, args: ['a'.repeat(31), 'b'.repeat(32), 'c'.repeat(255), 'd'.repeat(256), LONG] },
    nested: { args: [DEEP, KEYS, Object.values(KEYS)] },
    date: { args: [DATE, { at: [DATE] }], arrives: [DATE.toJSON(), { at: [DATE.toJSON()] }] },
    'a buffer': { args: [BYTES(3), 'and', 5] },
    'buffers as long as an extension': { args: [BYTES(0), BYTES(14), BYTES(15), BYTES(16), BYTES(17)] },
    'long buffers': { large: true, args: [{ deep: [BYTES(300), { er: HUGE }] }] },
    'typed array': {
        args: [new Uint8Array([1, 2, 3])], arrives: [{ 0: 1, 1: 2, 2: 3 }],
        by: { 'notepack 2': [Buffer.from([1, 2, 3])], 'notepack 3': [Buffer.from([1, 2, 3])] },
    },
    'an error': {
        args: [new TypeError('boom')], arrives: [{}],
        by: { 'msgpack-lite': [{ name: 'TypeError', message: 'boom', columnNumber: null, fileName: null, lineNumber: null }] },
    },
    'to a room': { args: ['hello'], to: (io) => io.to('a'), users: ['a'] },
    'to several rooms, once': { args: ['hello', BYTES(3)], to: (io) => io.to('a').in('b').to('allusers').to('nobody') },
    volatile: { args: ['hello'], to: (io) => io.volatile },
};
for (const call of Object.values(CALLS)) call.to = call.to || ((io) => io);

function arrivesOf({ args, arrives = args, by = {} }, dialect) {
    return by[dialect] || arrives;
}

module.exports = { CALLS, arrivesOf };
