'use strict';
/* A redis master with replicas and real sentinels, who publishes at whoever is the master, and
 * sentinels that are none and say what a test wants. */
const crypto = require('crypto');
const fs = require('fs');
const net = require('net');
const path = require('path');
const tls = require('tls');
const { createClient } = require('redis');
const { Emitter } = require('e5');
const { commandsOf } = require('./fakeredis');
const { Redis, freePort } = require('./redis');
const { Process, tempDir } = require('./proc');
const { SLOW, within, until } = require('./time');

const NAME = 'mymaster';
const HASTY = ['--shutdown-timeout', '0']; /* a master waits for no replica when it stops */
const DOWN_MS = 1500 * SLOW; /* after which the sentinels take a master for lost: busy is not down */

/* --- one real sentinel --- */

class Sentinel {
    /* more: lines of its configuration. */
    static async start(context, { master, replicas, more = [] }) {
        const sentinel = Object.assign(new Sentinel(), { dir: tempDir(context), more, id: crypto.randomBytes(20).toString('hex') });
        Object.assign(sentinel, { port: await freePort(), master, replicas });
        context.show(sentinel);
        context.after(() => sentinel.stop());
        return sentinel;
    }
    get title() {
        return `sentinel on port ${this.port}`;
    }
    get log() {
        return this.process ? this.process.log : '';
    }
    /* Those that are known from the beginning need not be found first. */
    async launch(others) {
        const file = path.join(this.dir, 'sentinel.conf');
        fs.writeFileSync(file, [
            `port ${this.port}`, 'bind 127.0.0.1', `dir ${this.dir}`, `sentinel myid ${this.id}`,
            `sentinel monitor ${NAME} 127.0.0.1 ${this.master.port} 2`,
            `sentinel down-after-milliseconds ${NAME} ${DOWN_MS}`, `sentinel failover-timeout ${NAME} 1000`,
            ...this.replicas.map(({ port }) => `sentinel known-replica ${NAME} 127.0.0.1 ${port}`),
            ...others.map(({ port, id }) => `sentinel known-sentinel ${NAME} 127.0.0.1 ${port} ${id}`),
            ...this.more, '',
        ].join('\n'));
        this.process = new Process('redis-server', [file, '--sentinel'], { cwd: this.dir });
        await this.process.line(/\+monitor master/, within(5000));
    }
    /* A connected client of the redis package. */
    async connect(options = {}) {
        const client = createClient({ socket: { port: this.port, host: '127.0.0.1', reconnectStrategy: false }, ...options });
        client.on('error', () => {});
        await client.connect();
        return client;
    }
    /* What it knows of the master, as an object. */
    async known() {
        const all = await this.client.sendCommand(['SENTINEL', 'MASTER', NAME]);
        return Object.fromEntries(all.flatMap((value, i) => (i % 2 ? [] : [[value, all[i + 1]]])));
    }
    signal(name) {
        this.process.signal(name);
    }
    async stop() {
        if (this.client && this.client.isOpen) await this.client.disconnect().catch(() => {});
        if (!this.process || this.process.how) return;
        this.process.signal('SIGCONT');
        this.process.signal('SIGKILL');
        await this.process.ended(within(3000));
    }
}

/* --- all of them --- */

class Sentinels {
    /* more: lines for each sentinel; auth: what our own clients of them say. */
    static async start(context, { replicas = 2, more, auth = {} } = {}) {
        const all = new Sentinels();
        const args = all.args = [...HASTY, '--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'];
        const master = await Redis.start(context, { args });
        const follow = [...args, '--replicaof', '127.0.0.1', master.port];
        const others = await Promise.all(Array.from({ length: replicas }, () => Redis.start(context, { args: follow })));
        all.servers = [master, ...others];
        for (const one of others) await until(async () => /master_link_status:up/.test(await one.client.info('replication')), within(5000), 'a replica that follows');
        all.sentinels = [];
        for (let i = 0; i < 3; i++) all.sentinels.push(await Sentinel.start(context, { master, replicas: others, more }));
        await Promise.all(all.sentinels.map((one) => one.launch(all.sentinels.filter((other) => other !== one))));
        for (const one of all.sentinels) one.client = await one.connect(auth);
        all.auth = auth;
        await all.agreed();
        return all;
    }
    get ports() {
        return this.sentinels.map(({ port }) => port);
    }
    server(port) {
        return this.servers.find((one) => one.port === Number(port));
    }
    /* Each sentinel sees all others and a replica that may be promoted. */
    agreed(sentinels = this.sentinels) {
        const good = (one) => one['num-other-sentinels'] === '2' && Number(one['num-slaves']) > 0 && one.flags === 'master';
        return until(async () => {
            const known = await Promise.all(sentinels.map((one) => one.known()));
            const replicas = await sentinels[0].client.sendCommand(['SENTINEL', 'REPLICAS', NAME]);
            const usable = replicas.some((one) => /^slave$/.test(one[one.indexOf('flags') + 1]) && one[one.indexOf('master-link-status') + 1] === 'ok');
            return known.every(good) && new Set(known.map((one) => one.port)).size === 1 && usable;
        }, within(12000), 'sentinels that agree');
    }
    /* Where they say that the master is. */
    async master(sentinel = this.sentinels[0]) {
        const [, port] = await sentinel.client.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME]);
        return this.server(port);
    }
    /* Those that were killed are replicas from now on. */
    async revive() {
        const master = await this.master();
        for (const server of this.servers.filter(({ process }) => process.how)) {
            server.options = { args: [...this.args, '--replicaof', '127.0.0.1', master.port] };
            await server.again();
        }
    }
    /* Resolves to { at, from, to } at the first +switch-master that any of them tells. */
    async switched(context, sentinels = this.sentinels) {
        const ears = await Promise.all(sentinels.map((one) => one.connect(this.auth)));
        context.after(() => Promise.all(ears.map((ear) => ear.isOpen && ear.disconnect().catch(() => {}))));
        const told = new Promise((resolve) => {
            for (const ear of ears)
                ear.subscribe('+switch-master', (text) => {
                    const [, , from, , to] = text.split(' ');
                    resolve({ at: Date.now(), from: this.server(from), to: this.server(to) });
                });
        });
        return { told };
    }
}

/* --- who publishes numbers at the master, whoever that is --- */

class Stream {
    constructor(context, everyMs = 10) {
        this.sent = []; /* { number, at, port } */
        this.next = 1;
        this.timer = setInterval(() => this.publish(), everyMs);
        context.after(() => clearInterval(this.timer));
    }
    /* A connected client of the master, in place of the one before. */
    goTo(server, client) {
        this.port = server.port;
        /* What a server does not take that has gone is lost. */
        const publish = (...args) => client.publish(...args).catch(() => {});
        this.emitter = new Emitter({ publish }, {}, '/axr');
    }
    publish() {
        if (!this.emitter) return;
        const number = this.next++;
        this.sent.push({ number, at: Date.now(), port: this.port });
        this.emitter.emit('number', number);
    }
    stop() {
        clearInterval(this.timer);
    }
}

/* What a client hears of it, and when. */
class Numbers {
    constructor(client) {
        this.got = []; /* { number, at } */
        this.reading = this.read(client);
    }
    async read(client) {
        for (;;) {
            const { args } = await client.event(24 * 3600 * 1000).catch(() => ({ args: [] }));
            if (!args.length) return;
            if (args[0] === 'number') this.got.push({ number: args[1], at: Date.now() });
        }
    }
    /* Resolves to the first that was sent to server from then on. */
    async after(stream, server, at, ms) {
        const sent = (number) => stream.sent[number - 1];
        const find = () => this.got.find(({ number }) => sent(number).port === server.port && sent(number).at >= at);
        await until(find, ms, 'a number of the new master');
        return find();
    }
    get order() {
        return this.got.map(({ number }) => number);
    }
}

/* --- sentinels that are none --- */

const bulk = (text) => `$${Buffer.byteLength(String(text))}\r\n${text}\r\n`;
const array = (...parts) => `*${parts.length}\r\n${parts.map(bulk).join('')}`;

class FakeSentinel {
    /* server: what it names (a Redis), with that epoch; undefined: it knows no such master.
     * certificate: it speaks TLS. */
    static async start(context, server, epoch = 0, certificate) {
        const fake = Object.assign(new FakeSentinel(), { server, epoch, sockets: new Set(), asked: 0, names: [], credentials: [] });
        const accept = (socket) => fake.accept(socket);
        fake.listener = certificate ? tls.createServer({ cert: certificate.chain || certificate.cert, key: certificate.key }, accept) : net.createServer(accept);
        await new Promise((resolve) => fake.listener.listen(0, '127.0.0.1', resolve));
        fake.port = fake.listener.address().port;
        context.after(() => fake.stop());
        return fake;
    }
    accept(socket) {
        let bytes = Buffer.alloc(0);
        let answered = 0;
        this.sockets.add(socket);
        socket.on('error', () => {}).on('close', () => this.sockets.delete(socket));
        socket.on('data', (data) => {
            bytes = Buffer.concat([bytes, data]);
            const commands = commandsOf(bytes);
            for (const command of commands.slice(answered)) this.answer(socket, command);
            answered = commands.length;
        });
    }
    answer(socket, [name, what, ...more]) {
        if (this.isMute) return;
        if (name === 'AUTH') {
            this.credentials.push([what, ...more].join(' '));
            socket.write('+OK\r\n');
        } else if (/SUBSCRIBE$/.test(name)) {
            socket.hears = name === 'SUBSCRIBE';
            socket.write(`*3\r\n${bulk(name.toLowerCase())}${bulk(what)}:${Number(socket.hears)}\r\n`);
        } else if (what === 'GET-MASTER-ADDR-BY-NAME') {
            this.asked++;
            this.names.push(more[0]);
            socket.write(this.server ? array('127.0.0.1', this.server.port) : '*-1\r\n');
        } else if (what === 'MASTER') {
            socket.write(this.server ? array('name', NAME, 'config-epoch', this.epoch) : '-ERR No such master with that name\r\n');
        } else {
            socket.write('-ERR unknown command\r\n');
        }
    }
    /* Another is the master, and it tells so. */
    name(server, epoch) {
        const from = this.server;
        Object.assign(this, { server, epoch });
        const text = array('message', '+switch-master', `${NAME} 127.0.0.1 ${from.port} 127.0.0.1 ${server.port}`);
        for (const socket of this.sockets) if (socket.hears) socket.write(text);
    }
    stop() {
        for (const socket of this.sockets) socket.destroy();
        return new Promise((resolve) => this.listener.close(resolve));
    }
}

module.exports = { HASTY, Sentinels, Sentinel, FakeSentinel, Stream, Numbers, NAME };
