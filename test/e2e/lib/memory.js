'use strict';
/* What is in the memory of a process: all that can be read but files that it cannot write
 * to, also what is free.  Of a text that was freed the allocator overwrites the beginning,
 * and where it grew another part may be left: look for pieces of a long one. */
const fs = require('fs');
const crypto = require('crypto');
const { isRunning } = require('./proc');

const UNREADABLE = /^\[(?:vvar|vvar_vclock|vsyscall)\]$/;

/* The bytes of each mapping. */
function* mappings(pid) {
    const mem = fs.openSync(`/proc/${pid}/mem`, 'r');
    try {
        for (const line of fs.readFileSync(`/proc/${pid}/maps`, 'latin1').trimEnd().split('\n')) {
            const [, from, to, writes, name] = /^([0-9a-f]+)-([0-9a-f]+) r(.)\S+ \S+ \S+ \d+ *(.*)$/.exec(line) || [];
            if (!from || UNREADABLE.test(name) || (writes === '-' && name.startsWith('/'))) continue;
            const [start, end] = [from, to].map((text) => parseInt(text, 16));
            const bytes = Buffer.allocUnsafe(end - start);
            yield bytes.subarray(0, fs.readSync(mem, bytes, 0, bytes.length, start));
        }
    } finally {
        fs.closeSync(mem);
    }
}

/* More than a register holds: those are saved on the stack, with what was copied last. */
const PIECE = 80;

/* Its end, and as much before each third. */
const pieces = (text) => [1 / 3, 2 / 3, 1].map((part) => text.slice(0, Math.floor(text.length * part)).slice(-PIECE));

/* How often each is there, by the piece that is there most often: { name: count } for
 * { name: pieces }.  A process that has ended has none. */
function copies(pid, texts) {
    const wanted = Object.entries(texts).flatMap(([name, all]) => all.map((text) => ({ name, bytes: Buffer.from(text) })));
    for (let tries = 10; ; tries--) {
        for (const one of wanted) one.count = 0;
        try {
            for (const bytes of isRunning(pid) ? mappings(pid) : [])
                for (const one of wanted)
                    for (let at = -1; (at = bytes.indexOf(one.bytes, at + 1)) >= 0; ) one.count++;
            const most = (name) => Math.max(...wanted.filter((one) => one.name === name).map((one) => one.count));
            return Object.fromEntries(Object.keys(texts).map((name) => [name, most(name)]));
        } catch (error) {
            if (tries === 0) throw error; /* a mapping, or all of it, has gone meanwhile */
        }
    }
}

/* So many bytes behind the first that are these in its memory, or undefined. */
function behind(pid, bytes, length) {
    for (const all of mappings(pid)) {
        const at = all.indexOf(bytes);
        if (at >= 0) return Buffer.from(all.subarray(at + bytes.length, at + bytes.length + length));
    }
    return undefined;
}

/* A text of that length that is nowhere else. */
const long = (length = 600) => crypto.randomBytes(length).toString('base64url').slice(0, length);

module.exports = { behind, copies, long, pieces };
