'use strict';
/* HTTP/1.1 on one connection, byte by byte as a test wants it, and Engine.IO's
 * long-polling on top. */
const { dial } = require('./dial');
const { within, deadline } = require('./time');

const PATH = '/notifications/';

/* A request as text.  headers: undefined leaves one out, an array repeats it. */
function request(method, target, headers = {}, body) {
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
    const lines = Object.entries({ Host: 'localhost', ...length, ...headers })
        .filter(([, value]) => value !== undefined)
        .flatMap(([name, value]) => [].concat(value).map((one) => `${name}: ${one}\r\n`));
    const head = Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1');
    return body === undefined ? head : Buffer.concat([head, Buffer.from(body)]);
}

/* The answer at the start of bytes, or null if it is not all there. */
function parseAnswer(bytes, bodiless) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const [statusLine, ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
    const headers = {};
    for (const line of lines) {
        const [, name, value] = /^([^:\s]+): *(.*)$/.exec(line);
        const key = name.toLowerCase();
        headers[key] = key in headers ? `${headers[key]}, ${value}` : value;
    }
    const status = Number(statusLine.split(' ')[1]);
    const length = bodiless || status < 200 ? 0 : Number(headers['content-length']);
    if (Number.isNaN(length)) throw new Error(`an answer without a length: ${statusLine}`);
    if (bytes.length < end + 4 + length) return null;
    const body = Buffer.from(bytes.subarray(end + 4, end + 4 + length));
    return { status, statusLine, headers, body, text: body.toString(), size: end + 4 + length };
}

class Http {
    constructor(where) {
        this.bytes = Buffer.alloc(0);
        this.watchers = new Set();
        this.socket = dial(where, { allowHalfOpen: true });
        this.socket.setNoDelay(true);
        this.socket.on('data', (data) => {
            this.bytes = Buffer.concat([this.bytes, data]);
            this.wake();
        });
        this.socket.on('error', (error) => (this.error = error));
        for (const event of ['end', 'close'])
            this.socket.on(event, () => {
                this.ended = true;
                this.wake();
            });
    }
    wake() {
        for (const watcher of [...this.watchers]) watcher();
    }
    send(...what) {
        this.socket.write(Buffer.isBuffer(what[0]) || what.length === 1 ? Buffer.from(what[0]) : request(...what));
        return this;
    }
    until(check, ms, what) {
        let watcher;
        const met = new Promise((resolve, reject) => {
            watcher = () => {
                try {
                    const value = check();
                    if (value) resolve(value);
                } catch (error) {
                    reject(error);
                }
            };
            this.watchers.add(watcher);
            watcher();
        });
        return deadline(met, ms, what).finally(() => this.watchers.delete(watcher));
    }
    /* The next answer; a 100 (Continue) counts as one.  bodiless: it is one to HEAD.  After one that
     * says that the connection ends, isLast is true. */
    async answer(ms = within(3000), bodiless = false) {
        const one = await this.until(() => {
            const answer = parseAnswer(this.bytes, bodiless);
            if (!answer && this.ended) throw new Error(`closed (${this.error || 'FIN'}) before an answer; got "${this.bytes}"`);
            return answer;
        }, ms, 'HTTP answer');
        this.bytes = this.bytes.subarray(one.size);
        this.isLast = one.headers.connection === 'close';
        return one;
    }
    /* Resolves when the other side has sent all it will. */
    over(ms = within(3000)) {
        return this.until(() => this.ended, ms, 'end of the connection');
    }
    destroy() {
        this.socket.destroy();
    }
}

/* One request on a connection of its own. */
async function once(where, ...what) {
    const http = new Http(where);
    try {
        return await http.send(...what).answer(within(5000), what[0] === 'HEAD');
    } finally {
        http.destroy();
    }
}

/* --- payloads --- */

/* A packet is text, or { bin: Buffer }. */
function packetOf(text, version) {
    if (text[0] !== 'b') return text;
    return { bin: Buffer.from(text.slice(version === 3 ? 2 : 1), 'base64') };
}

function decode3(text) {
    const packets = [];
    for (let at = 0; at < text.length; ) {
        const colon = text.indexOf(':', at);
        const length = Number(text.slice(at, colon));
        if (!/^\d+$/.test(text.slice(at, colon)) || colon + 1 + length > text.length)
            throw new Error(`not an EIO3 payload at ${at}: ${text}`);
        packets.push(packetOf(text.slice(colon + 1, colon + 1 + length), 3));
        at = colon + 1 + length;
    }
    return packets;
}

function decode3Binary(bytes) {
    const packets = [];
    for (let at = 0; at < bytes.length; ) {
        const kind = bytes[at];
        const end = bytes.indexOf(255, at);
        const length = Number([...bytes.subarray(at + 1, end)].join(''));
        const data = bytes.subarray(end + 1, end + 1 + length);
        if (kind > 1 || end < 0 || data.length !== length) throw new Error(`not a binary payload: ${bytes.toString('hex')}`);
        if (kind === 1 && data[0] !== 4) throw new Error(`a binary packet of type ${data[0]}`);
        packets.push(kind === 0 ? data.toString() : { bin: Buffer.from(data.subarray(1)) });
        at = end + 1 + length;
    }
    return packets;
}

function decode(answer, version) {
    if (version === 4) return answer.text.split('\x1e').map((one) => packetOf(one, 4));
    if (answer.headers['content-type'] === 'application/octet-stream') return decode3Binary(answer.body);
    return decode3(answer.text);
}

/* What ___eio[n]("..."); hands over. */
function unwrap(text, index) {
    const match = /^___eio\[(\d*)\]\(("[^]*")\);$/.exec(text);
    if (!match || match[1] !== String(index)) throw new Error(`not a script for ${index}: ${text}`);
    if (/[\u2028\u2029]/.test(text)) throw new Error('a line separator in a script');
    return JSON.parse(match[2]);
}

const encode = (packets, version) =>
    version === 4 ? packets.join('\x1e') : packets.map((one) => `${one.length}:${one}`).join('');

/* --- a session --- */

class Polling {
    /* how: eio (4), query (more), path, headers, keep (one connection for GETs and one
     * for POSTs, else each request has its own), heartbeat (true: answer the server's, EIO4). */
    constructor(where, { eio = 4, query = {}, path = PATH, headers = {}, keep = false, heartbeat = true } = {}) {
        Object.assign(this, { where, eio, path, headers, keep, query, options: { heartbeat } });
        this.packets = []; /* not taken yet */
        this.conns = {};
    }
    static async open(where, how = {}) {
        const client = new Polling(where, how);
        const answer = await client.get();
        if (answer.status !== 200) throw Object.assign(new Error(`refused: ${answer.text}`), { answer });
        client.handshake = JSON.parse(client.packets.shift().replace(/^0/, ''));
        client.sid = client.handshake.sid;
        if (client.eio === 3) {
            const root = await client.text();
            if (root !== '40') throw new Error(`not "40": ${root}`);
        }
        return client;
    }
    target(more = {}) {
        const all = { EIO: this.eio, transport: 'polling', ...this.query, ...(this.sid ? { sid: this.sid } : {}), ...more };
        return `${this.path}?${new URLSearchParams(all)}`;
    }
    conn(which) {
        if (!this.keep) return new Http(this.where);
        const old = this.conns[which];
        return (this.conns[which] = old && !old.ended && !old.isLast ? old : new Http(this.where));
    }
    async exchange(which, bytes, ms) {
        const conn = this.conn(which);
        try {
            return await conn.send(bytes).answer(ms);
        } finally {
            if (!this.keep) conn.destroy();
        }
    }
    /* A GET; what it brings is in .packets. */
    async get(ms = within(5000)) {
        const answer = await this.exchange('get', request('GET', this.target(), this.headers), ms);
        if (answer.status !== 200) return answer;
        const script = 'j' in this.query && { ...answer, text: unwrap(answer.text, this.query.j) };
        this.packets.push(...decode(script || answer, this.eio));
        return answer;
    }
    post(body, headers = {}) {
        const all = { 'Content-Type': 'text/plain;charset=UTF-8', ...this.headers, ...headers };
        return this.exchange('post', request('POST', this.target(), all, body), within(5000));
    }
    async send(...packets) {
        const body = encode(packets, this.eio);
        const answer = await this.post('j' in this.query ? `d=${encodeURIComponent(body)}` : body);
        if (answer.status !== 200 || answer.text !== 'ok') throw new Error(`POST: ${answer.status} ${answer.text}`);
    }
    /* The next packet that is no noop, and no heartbeat but one that nobody answers. */
    async take(ms = within(5000)) {
        for (;;) {
            while (!this.packets.length) {
                const answer = await this.get(ms);
                if (answer.status !== 200) throw Object.assign(new Error(`GET: ${answer.status} ${answer.text}`), { answer });
            }
            const packet = this.packets.shift();
            if (packet === '2' && this.options.heartbeat) await this.send('3');
            else if (packet !== '6' && packet !== '3') return packet;
        }
    }
    async text(ms) {
        const packet = await this.take(ms);
        if (typeof packet !== 'string') throw new Error(`not text: ${packet.bin.toString('hex')}`);
        return packet;
    }
    /* A Socket.IO event with its attachments: { nsp, args, bins, text }. */
    async event(ms) {
        const text = await this.text(ms);
        const match = /^4(?:2|5(\d+)-)(?:(\/[^,]*),)?(\[.*)$/su.exec(text);
        if (!match) throw new Error(`not an event: ${text}`);
        const bins = [];
        for (let left = Number(match[1] || 0); left; left--) bins.push((await this.take(ms)).bin.toString('hex'));
        return { nsp: match[2] || '/', args: JSON.parse(match[3]), bins, text };
    }
    async join(nsp, token) {
        const head = nsp === '/' ? '40' : `40${nsp},`;
        await this.send(this.eio === 4 ? head + JSON.stringify({ token }) : `40${nsp}?token=${token},`);
        const text = await this.text();
        if (!text.startsWith(head)) throw new Error(`not let in: ${text}`);
        this.id = this.eio === 4 ? JSON.parse(text.slice(head.length)).sid : `${nsp}#${this.sid}`; /* of Socket.IO */
        return this;
    }
    destroy() {
        for (const conn of Object.values(this.conns)) conn.destroy();
    }
}

/* A polling session that is in the namespace. */
async function polled(where, token, how = {}) {
    return (await Polling.open(where, how)).join('/axr', token);
}

module.exports = { Http, Polling, polled, once, request, decode, encode, unwrap, PATH };
