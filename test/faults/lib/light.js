'use strict';
/* WebSocket clients that cost next to nothing, for crowds of many thousands. */
const { dial } = require('../../e2e/lib/dial');
const { OP, frame, upgradeRequest } = require('../../e2e/lib/raw');
const { within, deadline } = require('../../e2e/lib/time');

const HEAD = Buffer.from(upgradeRequest({ eio: 4 }).text);
const PONG = frame(OP.TEXT, '3');
const AT_ONCE = 200;

/* The first bytes of a client: it asks for everything at once. */
function opening(token) {
    return Buffer.concat([HEAD, frame(OP.TEXT, `40/axr,${JSON.stringify({ token })}`)]);
}

class Light {
    /* where: what dial() takes.  onSeq(number): of each ["seq", number, ...]. */
    constructor(where, token, onSeq = null) {
        this.onSeq = onSeq;
        this.rest = null;
        this.joined = false;
        this.over = null;
        this.began = Date.now();
        this.socket = dial(where);
        this.socket.on('connect', () => (this.port = this.socket.localPort));
        this.ready = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
        this.ready.catch(() => {}); /* whoever waits for it hears */
        this.closed = new Promise((resolve) => (this.onClosed = resolve));
        this.socket.on('data', (data) => this.read(data));
        this.socket.on('error', (error) => (this.error = error.code));
        this.socket.on('close', () => this.finish());
        this.socket.write(opening(token));
    }
    finish() {
        this.over = { at: Date.now(), age: Date.now() - this.began, joined: this.joined, code: this.code, error: this.error };
        this.reject(new Error(`closed before it was in: ${JSON.stringify(this.over)}, upgraded: ${Boolean(this.head)}, left: "${this.rest || ''}"`));
        this.onClosed(this.over);
    }
    read(data) {
        let bytes = this.rest ? Buffer.concat([this.rest, data]) : data;
        if (!this.head) {
            const end = bytes.indexOf('\r\n\r\n');
            if (end >= 0) bytes = bytes.subarray(end + 4);
            this.head = end >= 0;
        }
        let at = 0;
        while (this.head) {
            const next = this.frame(bytes, at);
            if (next < 0) break;
            at = next;
        }
        this.rest = at < bytes.length ? bytes.subarray(at) : null;
    }
    /* Reads one frame at at; returns where the next one begins, or -1 if it is not all there. */
    frame(bytes, at) {
        if (bytes.length < at + 2) return -1;
        const short = bytes[at + 1] & 127;
        const from = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
        if (bytes.length < from) return -1;
        const len = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
        const end = from + len;
        if (bytes.length < end) return -1;
        this.take(bytes[at] & 15, bytes, from, end);
        return end;
    }
    take(op, bytes, from, end) {
        if (op === OP.CLOSE) {
            this.code = end - from >= 2 ? bytes.readUInt16BE(from) : 0;
            this.socket.end(frame(OP.CLOSE, bytes.subarray(from, from + 2)));
        } else if (end - from === 1 && bytes[from] === 0x32) {
            this.socket.write(PONG);
        } else if (!this.joined) {
            const text = bytes.toString('latin1', from, Math.min(end, from + 60));
            if (text.startsWith('40/axr,')) this.enter();
            else if (text.startsWith('44')) this.reject(new Error(`refused: ${text}`));
        } else if (this.onSeq) {
            const text = bytes.toString('latin1', from, Math.min(end, from + 40));
            const match = /^42\/axr,\["seq",(\d+)/.exec(text);
            if (match) this.onSeq(Number(match[1]), this);
        }
    }
    enter() {
        this.joined = true;
        this.resolve(this);
    }
    destroy() {
        this.socket.destroy();
    }
    reset() {
        this.socket.resetAndDestroy();
    }
}

/* count clients that are in, some at a time; token(i) is the token of each. */
async function lights(where, count, token, onSeq) {
    const all = [];
    const some = async () => {
        while (all.length < count) {
            const client = new Light(where, token(all.length), onSeq);
            all.push(client);
            await deadline(client.ready, within(20000), 'a client that is in');
        }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, some));
    return all;
}

/* Checks that every client hears 0, 1, 2 ... or from its first number on. */
class Sequences {
    constructor() {
        this.next = new Map();
        this.wrong = [];
        this.heard = 0;
        this.onSeq = (number, client) => this.take(number, client);
    }
    take(number, client) {
        const expected = this.next.get(client);
        this.heard++;
        if (expected !== undefined && number !== expected && this.wrong.length < 20) this.wrong.push(`${number} in place of ${expected}`);
        this.next.set(client, number + 1);
    }
    /* True when each of clients has heard what comes before end. */
    complete(clients, end) {
        return clients.every((client) => client.over || this.next.get(client) === end);
    }
}

module.exports = { Light, lights, Sequences, opening };
