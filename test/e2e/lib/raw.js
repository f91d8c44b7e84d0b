'use strict';
/* A WebSocket client that shows every byte: RFC 6455 frames as they come, with
 * Engine.IO and Socket.IO only as far as a test asks for it. */
const assert = require('assert');
const crypto = require('crypto');
const { dial } = require('./dial');
const { within, deadline } = require('./time');

const OP = { CONT: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };
const DEFAULT_PATH = '/notifications/';

/* A client frame.  fin, rsv (0-7), masked and claim (the length it claims)
 * can be made wrong on purpose. */
function frame(op, payload = '', { fin = true, rsv = 0, masked = true, claim } = {}) {
    const data = Buffer.from(payload);
    const len = claim === undefined ? data.length : claim;
    const size = len < 126 ? 0 : len < 65536 ? 2 : 8;
    const head = Buffer.alloc(2 + size);
    head[0] = (fin ? 0x80 : 0) | (rsv << 4) | op;
    head[1] = (masked ? 0x80 : 0) | (size === 0 ? len : size === 2 ? 126 : 127);
    if (size === 2) head.writeUInt16BE(len, 2);
    if (size === 8) head.writeBigUInt64BE(BigInt(len), 2);
    if (!masked) return Buffer.concat([head, data]);
    const mask = crypto.randomBytes(4);
    const body = Buffer.from(data);
    for (let i = 0; i < body.length; i++) body[i] ^= mask[i & 3];
    return Buffer.concat([head, mask, body]);
}

/* The frame at the start of bytes, or null if it is not all there. */
function parseFrame(bytes) {
    if (bytes.length < 2) return null;
    let len = bytes[1] & 0x7f;
    let at = 2;
    if (len === 126) {
        if (bytes.length < 4) return null;
        len = bytes.readUInt16BE(2);
        at = 4;
    } else if (len === 127) {
        if (bytes.length < 10) return null;
        len = Number(bytes.readBigUInt64BE(2));
        at = 10;
    }
    if (bytes.length < at + len) return null;
    const payload = Buffer.from(bytes.subarray(at, at + len));
    const [b0, b1] = bytes;
    return {
        op: b0 & 15, fin: b0 >= 0x80, rsv: (b0 >> 4) & 7, masked: b1 >= 0x80,
        payload, text: (b0 & 15) === OP.TEXT ? payload.toString() : undefined, size: at + len,
    };
}

function queryOf(options) {
    const all = { EIO: options.eio, transport: 'websocket', ...options.query };
    return Object.entries(all)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
        .join('&');
}

function upgradeRequest(options) {
    const key = crypto.randomBytes(16).toString('base64');
    const target = options.target || `${options.path || DEFAULT_PATH}?${queryOf(options)}`;
    const headers = {
        Host: 'localhost', Connection: 'Upgrade', Upgrade: 'websocket',
        'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Key': key, ...options.headers,
    };
    const lines = Object.entries(headers)
        .filter(([, value]) => value !== undefined)
        .flatMap(([name, value]) => [].concat(value).map((one) => `${name}: ${one}\r\n`));
    return { key, text: `${options.method || 'GET'} ${target} HTTP/1.1\r\n${lines.join('')}\r\n` };
}

function parseHead(text) {
    const [status, ...lines] = text.split('\r\n');
    const headers = {};
    for (const line of lines) {
        const colon = line.indexOf(':');
        const name = line.slice(0, colon).toLowerCase();
        headers[name] = (name in headers ? `${headers[name]}, ` : '') + line.slice(colon + 1).trim();
    }
    return { status: Number(status.split(' ')[1]), statusLine: status, headers };
}

function dechunk(body) {
    const parts = [];
    for (let at = 0; ;) {
        const end = body.indexOf('\r\n', at);
        if (end < 0) return Buffer.concat(parts);
        const len = parseInt(body.toString('latin1', at, end), 16);
        if (!len) return Buffer.concat(parts);
        parts.push(body.subarray(end + 2, end + 2 + len));
        at = end + 2 + len + 2;
    }
}

/* Sends bytes on a new connection and reads until the server closes:
 * { status, headers, body, ms }.  status is 0 if nothing was answered. */
function exchange(where, bytes, ms = within(2000)) {
    const socket = dial(where);
    const began = Date.now();
    const parts = [];
    const over = new Promise((resolve) => {
        socket.on('data', (data) => parts.push(data));
        socket.on('error', (error) => (socket.failure = error));
        socket.on('close', () => {
            const all = Buffer.concat(parts);
            const end = all.indexOf('\r\n\r\n');
            const head = end < 0 ? { status: 0, headers: {} } : parseHead(all.toString('latin1', 0, end));
            let body = end < 0 ? all : all.subarray(end + 4);
            if (head.headers['transfer-encoding'] === 'chunked') body = dechunk(body);
            resolve({ ...head, body: body.toString(), ms: Date.now() - began, error: socket.failure });
        });
    });
    socket.write(bytes);
    return deadline(over, ms, 'end of the HTTP exchange').finally(() => socket.destroy());
}

class Refused extends Error {
    constructor(text) {
        super(`refused: ${text}`);
        this.text = text;
    }
}

class Raw {
    /* where: what dial() takes.  options: eio (4), path, query, headers,
     * target (instead of path and query), early (bytes sent with the request),
     * heartbeat (true: answer the server's, EIO4), echo (true: answer a close). */
    constructor(where, options = {}) {
        this.options = { eio: 4, heartbeat: true, echo: true, ...options };
        this.eio = this.options.eio;
        this.bytes = Buffer.alloc(0);
        this.frames = []; /* not taken yet */
        this.waiters = [];
        this.over = null;
        const { key, text } = upgradeRequest(this.options);
        this.key = key;
        this.socket = dial(where);
        this.socket.setNoDelay(true);
        this.closed = new Promise((resolve) => (this.resolveClosed = resolve));
        this.upgraded = new Promise((resolve, reject) => {
            this.resolveUpgraded = resolve;
            this.rejectUpgraded = reject;
        });
        this.upgraded.catch(() => {}); /* whoever waits for it hears */
        this.socket.on('data', (data) => this.read(data));
        this.socket.on('error', (error) => (this.error = error));
        this.socket.on('close', () => this.finish());
        this.socket.write(Buffer.concat([Buffer.from(text), Buffer.from(this.options.early || '')]));
    }

    /* Connects, upgrades and takes the Engine.IO open packet (and EIO3's "40"). */
    static async open(where, options = {}) {
        const client = new Raw(where, options);
        await deadline(client.upgraded, within(3000), 'upgrade to WebSocket');
        client.handshake = JSON.parse((await client.text()).replace(/^0/, ''));
        if (client.eio === 3 && options.root !== false) {
            const text = await client.text();
            if (text !== '40') throw new Refused(text);
        }
        return client;
    }

    read(data) {
        this.bytes = this.bytes.length ? Buffer.concat([this.bytes, data]) : data;
        if (!this.head && !this.readHead()) return;
        for (let one; (one = parseFrame(this.bytes)); ) {
            this.bytes = this.bytes.subarray(one.size);
            this.arrived(one);
        }
    }
    readHead() {
        const end = this.bytes.indexOf('\r\n\r\n');
        if (end < 0) return false;
        const head = parseHead(this.bytes.toString('latin1', 0, end));
        if (head.status !== 101) return false; /* its body ends with the connection */
        this.head = head;
        this.bytes = this.bytes.subarray(end + 4);
        const accept = crypto.createHash('sha1')
            .update(`${this.key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
            .digest('base64');
        if (head.headers['sec-websocket-accept'] === accept) this.resolveUpgraded(head);
        else this.rejectUpgraded(new Error(`wrong Sec-WebSocket-Accept: ${JSON.stringify(head)}`));
        return true;
    }
    arrived(one) {
        if (one.op === OP.CLOSE && !this.closeFrame) {
            this.closeFrame = one;
            if (this.options.echo) this.send(OP.CLOSE, one.payload.subarray(0, 2));
        }
        if (this.onFrame && this.onFrame(one)) return;
        if (this.eio === 4 && this.options.heartbeat && one.text === '2') {
            this.sendText('3');
            return;
        }
        if (one.op === OP.CLOSE) return;
        this.frames.push(one);
        this.wake();
    }
    wake() {
        while (this.waiters.length && (this.frames.length || this.over)) {
            const { resolve, reject } = this.waiters.shift();
            if (this.frames.length) resolve(this.frames.shift());
            else reject(new Error(`closed while a frame was awaited: ${JSON.stringify(this.over)}`));
        }
    }
    finish() {
        const all = this.bytes;
        if (!this.head) {
            const end = all.indexOf('\r\n\r\n');
            const head = end < 0 ? { status: 0, headers: {} } : parseHead(all.toString('latin1', 0, end));
            const body = end < 0 ? '' : all.toString('utf8', end + 4);
            const error = new Error(`not upgraded: ${head.statusLine || this.error} ${body}`);
            Object.assign(error, { ...head, body });
            this.rejectUpgraded(error);
        }
        const close = this.closeFrame && this.closeFrame.payload;
        this.over = {
            /* of the close frame: undefined without one, 0 for one without a code */
            code: close ? (close.length >= 2 ? close.readUInt16BE(0) : 0) : undefined,
            reason: close ? close.toString('utf8', 2) : undefined,
            error: this.error && this.error.code,
        };
        this.resolveClosed(this.over);
        this.wake();
    }

    sendRaw(bytes) {
        if (!this.socket.destroyed) this.socket.write(bytes);
    }
    send(op, payload, options) {
        this.sendRaw(frame(op, payload, options));
    }
    sendText(text) {
        this.send(OP.TEXT, text);
    }
    sendBinary(bytes) {
        this.send(OP.BINARY, bytes);
    }

    /* The next frame that is neither a heartbeat nor a close. */
    async take(ms = within(3000)) {
        if (this.frames.length && !this.waiters.length) return this.frames.shift();
        const next = new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
        this.wake();
        return deadline(next, ms, 'frame');
    }
    async text(ms) {
        const one = await this.take(ms);
        if (one.op !== OP.TEXT || !one.fin || one.rsv || one.masked)
            throw new Error(`not a plain text frame: ${JSON.stringify(one)}`);
        return one.text;
    }
    /* A Socket.IO event with its attachments: { nsp, args, frames }. */
    async event(ms) {
        const text = await this.text(ms);
        const match = /^4(?:2|5(\d+)-)(?:(\/[^,]*),)?(\[.*)$/su.exec(text);
        if (!match) throw new Error(`not an event: ${text}`);
        const frames = [{ text }];
        for (let left = Number(match[1] || 0); left; left--) {
            const one = await this.take(ms);
            if (one.op !== OP.BINARY) throw new Error(`not an attachment: ${JSON.stringify(one)}`);
            frames.push({ bin: one.payload.toString('hex') });
        }
        return { nsp: match[2] || '/', args: JSON.parse(match[3]), frames };
    }
    /* Asks for a namespace; auth is the object (EIO4) or the query (EIO3).
     * Returns the Socket.IO id, or throws Refused. */
    async join(nsp = '/axr', auth = {}) {
        this.sendText(this.connectPacket(nsp, auth));
        const text = await this.text();
        const prefix = nsp === '/' ? '40' : `40${nsp},`;
        if (!text.startsWith(prefix)) throw new Refused(text);
        if (this.eio === 3) return nsp === '/' ? this.handshake.sid : `${nsp}#${this.handshake.sid}`;
        return JSON.parse(text.slice(prefix.length)).sid;
    }
    connectPacket(nsp, auth) {
        const empty = !Object.keys(auth).length;
        if (this.eio === 4)
            return nsp === '/' ? `40${empty ? '' : JSON.stringify(auth)}` : `40${nsp},${JSON.stringify(auth)}`;
        const query = empty ? '' : `?${new URLSearchParams(auth)}`;
        return nsp === '/' && empty ? '40' : `40${nsp}${query},`;
    }
    /* How the connection ended: { code, reason, error }. */
    end(ms = within(3000)) {
        return deadline(this.closed, ms, 'end of the connection');
    }
    destroy() {
        this.socket.destroy();
    }
}

/* A client that is in the namespace. */
async function joined(where, token, options = {}) {
    const client = await Raw.open(where, options);
    client.sid = client.id = await client.join(options.nsp, { token, ...options.auth });
    return client;
}

/* It is sent away for the server's sake: FIN, with no close frame, after the last frame. */
async function sentAway(client, ms) {
    const { code, error } = await client.end(ms);
    assert.deepStrictEqual({ code, error, rest: client.bytes.length }, { code: undefined, error: undefined, rest: 0 });
}

module.exports = { Raw, sentAway, Refused, OP, frame, parseFrame, parseHead, exchange, upgradeRequest, joined };
