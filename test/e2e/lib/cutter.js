'use strict';
/* A TCP proxy between a client and daemons that cuts: when it is told to, or at a packet
 * that a rule names.  It reads what servers say, HTTP answers and WebSocket frames, as far
 * as it takes to know the Engine.IO packets in it; what is behind a cut is never passed on.
 *
 * A side that is cut is ended with FIN ('fin') or RST ('rst'), or forgotten ('none'): it
 * stays open, and all that it says is swallowed. */
const net = require('net');
const { parseFrame, parseHead } = require('./raw');
const { within, deadline } = require('./time');

const CUT = { client: 'fin', server: 'fin' };
const REPLY = /^40\/axr,\{/;
const EVENT = /^4(?:2|5\d+-)\/axr,\["(?!\$offset")/;
const OFFSET = /^42\/axr,\["\$offset"/;

/* The next part of what a server says that is all there: { size, packets }, or null.
 * A packet is text, or null for bytes. */
function answerIn(bytes, line) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const head = parseHead(bytes.toString('latin1', 0, end));
    if (head.status === 101) line.isSocket = true;
    const size = end + 4 + (head.status < 200 ? 0 : Number(head.headers['content-length']));
    if (Number.isNaN(size)) return { size: bytes.length, packets: [] };
    if (bytes.length < size) return null;
    const body = bytes.toString('utf8', end + 4, size);
    return { size, packets: head.status === 200 ? body.split('\x1e').map((one) => (one[0] === 'b' ? null : one)) : [] };
}
function frameIn(bytes) {
    const one = parseFrame(bytes);
    return one && { size: one.size, packets: [one.op === 1 ? one.text : null] };
}

/* One connection of a client, and that to the server which belongs to it. */
class Line {
    constructor(cutter, client, where) {
        Object.assign(this, { cutter, client, where, bytes: Buffer.alloc(0), isSocket: false });
        this.events = 0; /* passed on since the last reply */
        this.late = []; /* what is to be done, in order */
        this.swallowed = []; /* packets that a client will not see */
        this.server = net.connect(where);
        client.setNoDelay(true);
        this.server.setNoDelay(true);
        client.on('data', (data) => this.up(data));
        this.server.on('data', (data) => this.down(data));
        this.follow(client, this.server);
        this.follow(this.server, client);
    }
    /* What one side does at its end, the other does too, unless it was cut off before. */
    follow(from, to) {
        from.on('error', () => {});
        from.on('end', () => this.later(() => (this.isCut ? from.destroy() : to.end())));
        from.on('close', () => {
            this.later(() => this.isCut || to.destroySoon());
            this.cutter.ended(this);
        });
    }
    /* Behind all that the server has said, whatever delay counted then. */
    later(act) {
        const { delay, isPlain } = this.cutter;
        const at = Date.now() + (delay && (this.isSubscriber || !isPlain) ? delay : 0);
        this.late.push({ at, act });
        if (this.late.length === 1) this.catchUp();
    }
    catchUp() {
        while (this.late.length && this.late[0].at <= Date.now()) {
            this.late[0].act();
            this.late.shift();
        }
        if (this.late.length) setTimeout(() => this.catchUp(), this.late[0].at - Date.now());
    }
    up(data) {
        if (data.includes('SUBSCRIBE')) this.isSubscriber = true;
        if (!this.isCut) this.server.write(data);
    }
    down(data) {
        this.bytes = this.bytes.length ? Buffer.concat([this.bytes, data]) : data;
        for (let part; (part = this.next()); ) {
            const bytes = this.bytes.subarray(0, part.size);
            this.bytes = this.bytes.subarray(part.size);
            this.pass(bytes, part.packets);
        }
    }
    next() {
        if (!this.bytes.length) return null;
        if (this.cutter.isPlain) return { size: this.bytes.length, packets: [] };
        return this.isSocket ? frameIn(this.bytes) : answerIn(this.bytes, this);
    }
    pass(bytes, packets) {
        if (this.isCut) {
            this.swallow(packets);
            return;
        }
        const { rule } = this.cutter;
        const cut = rule && rule(packets, this);
        this.count(packets);
        if (!cut) {
            this.say(bytes);
            return;
        }
        this.cutter.rule = null;
        if (cut.at === 'after') this.say(bytes);
        else this.swallow(packets);
        if (cut.at === 'inside') this.say(bytes.subarray(0, bytes.length >> 1));
        this.cut(cut.how);
    }
    count(packets) {
        for (const packet of packets) {
            if (packet === null) continue;
            if (REPLY.test(packet)) this.events = 0;
            else if (EVENT.test(packet)) this.events++;
        }
    }
    say(bytes) {
        this.later(() => this.client.destroyed || this.client.writableEnded || this.client.write(bytes));
    }
    swallow(packets) {
        this.swallowed.push(...packets);
        this.cutter.wake();
    }
    cut(how = CUT) {
        if (this.isCut) return;
        this.isCut = true;
        this.cutter.cuts++;
        const { client, server } = { ...CUT, ...how };
        this.cutter.onCut();
        this.later(() => end(this.client, client));
        end(this.server, server);
        this.cutter.wake();
    }
}
function end(socket, how) {
    if (how === 'fin') socket.end();
    else if (how === 'rst') socket.resetAndDestroy();
}

class Cutter {
    /* to: what net.connect takes, or (nth connection) => that.  isPlain: it is not HTTP,
     * but redis; delay (ms) counts for what it says to its subscribers. */
    static async start(context, to, { isPlain = false } = {}) {
        const cutter = new Cutter();
        Object.assign(cutter, { to, isPlain, lines: new Set(), accepted: 0, cuts: 0, delay: 0, isDown: false, watchers: new Set() });
        cutter.rule = null; /* see below; it counts for one cut */
        cutter.onCut = () => {};
        cutter.server = net.createServer({ allowHalfOpen: true }, (socket) => cutter.accept(socket));
        await new Promise((resolve) => cutter.server.listen(0, '127.0.0.1', resolve));
        cutter.addr = { host: '127.0.0.1', port: cutter.server.address().port };
        context.after(() => cutter.stop());
        return cutter;
    }
    accept(socket) {
        if (this.isDown) {
            socket.on('error', () => {});
            socket.resetAndDestroy();
            return;
        }
        const where = typeof this.to === 'function' ? this.to(this.accepted) : this.to;
        this.accepted++;
        this.lines.add(new Line(this, socket, where));
        this.wake();
    }
    /* Cuts all connections of now, and returns them. */
    cut(how) {
        const all = [...this.lines].filter((line) => !line.isCut);
        for (const line of all) line.cut(how);
        return all;
    }
    /* The network is gone, until up(). */
    down(how) {
        this.isDown = true;
        return this.cut(how);
    }
    up() {
        this.isDown = false;
    }
    ended(line) {
        if (line.client.destroyed && line.server.destroyed) this.lines.delete(line);
        this.wake();
    }
    wake() {
        for (const watcher of [...this.watchers]) watcher();
    }
    /* Resolves to what check() gives, once that is true. */
    when(check, what, ms = within(3000)) {
        let watcher;
        const met = new Promise((resolve) => {
            watcher = () => {
                const value = check();
                if (value) resolve(value);
            };
            this.watchers.add(watcher);
            watcher();
        });
        return deadline(met, ms, what).finally(() => this.watchers.delete(watcher));
    }
    /* Sets a rule; resolves when it has cut. */
    cutAt(rule) {
        const { cuts } = this;
        this.rule = rule;
        return this.when(() => this.cuts > cuts, 'the cut');
    }
    stop() {
        this.isDown = true;
        for (const line of this.lines) {
            line.client.destroy();
            line.server.destroy();
        }
        return new Promise((resolve) => this.server.close(resolve));
    }
}

/* --- rules: (packets that come, line) => undefined, or { at, how } ---
 * at: 'before', 'inside' or 'after' the part that has the packet. */
const has = (packets, pattern) => packets.some((packet) => packet !== null && pattern.test(packet));
const RULES = {
    /* The CONNECT reply is the last that comes. */
    behindReply: (how) => (packets) => has(packets, REPLY) && { at: 'after', how },
    /* It has been sent, and does not come. */
    beforeReply: (how) => (packets) => has(packets, REPLY) && { at: 'before', how },
    insideReply: (how) => (packets) => has(packets, REPLY) && { at: 'inside', how },
    /* count events come behind the reply, and half of the next one. */
    inReplay: (count, how) => (packets, line) => line.events >= count && has(packets, EVENT) && { at: 'inside', how },
    behindEvents: (count, how) => (packets, line) => line.events + 1 >= count && has(packets, EVENT) && { at: 'after', how },
    /* $offset does not come any more. */
    beforeOffset: (how) => (packets) => has(packets, OFFSET) && { at: 'before', how },
    /* The WebSocket is there, and nothing comes by it. */
    atOpen: (how) => (packets) => has(packets, /^0\{/) && { at: 'before', how },
    /* The answer to a probe does not come. */
    atProbe: (how) => (packets) => has(packets, /^3probe/) && { at: 'before', how },
};

module.exports = { Cutter, RULES, REPLY, EVENT, OFFSET };
