'use strict';
/* A redis-server of our own, and what publishes through it. */
const net = require('net');
const path = require('path');
const { createClient } = require('redis');
const { Emitter } = require('e5');
const { Process, tempDir } = require('./proc');
const { within, deadline } = require('./time');

/* A port that is free now.  Somebody may take it before we do: callers retry. */
function freePort() {
    return new Promise((resolve, reject) => {
        const server = net.createServer();
        server.on('error', reject);
        server.listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}

class Redis {
    /* options.args: more command line; options.auth: what our own client says. */
    static async start(context, options = {}) {
        const redis = new this();
        redis.options = options;
        redis.dir = tempDir(context);
        redis.socket = path.join(redis.dir, 'redis.sock');
        redis.clients = new Set();
        context.show(redis);
        context.after(() => redis.stop());
        for (let attempt = 0; attempt < 5; attempt++) {
            redis.port = await freePort();
            if (await redis.launch()) break;
        }
        await redis.link();
        return redis;
    }
    get title() {
        return `redis-server on port ${this.port}`;
    }
    /* Without the lines of a start. */
    get log() {
        return this.process ? this.process.log.replace(/^[^]*Ready to accept.*\n/, '') : '';
    }
    /* True when it serves, false if its port was taken. */
    async launch() {
        const args = ['--port', this.port, '--bind', '127.0.0.1', '--unixsocket', this.socket]
            .concat(['--dir', this.dir, '--save', '', '--appendonly', 'no', '--daemonize', 'no'])
            .concat(this.options.args || []);
        this.process = new Process('redis-server', args.map(String), { cwd: this.dir });
        const ready = /Ready to accept connections|Address already in use/;
        const match = await this.process.line(ready, within(5000));
        return match[0].startsWith('Ready');
    }
    /* A connected client of the redis package, closed with the server. */
    async connect(options = {}) {
        const client = createClient({
            socket: { port: this.port, host: '127.0.0.1', reconnectStrategy: false },
            ...(this.options.auth || {}),
            ...options,
        });
        client.on('error', () => {}); /* a lost connection shows in the call that needs it */
        await client.connect();
        this.clients.add(client);
        return client;
    }
    async link() {
        this.client = await this.connect();
    }
    /* Number of subscribers that got it. */
    publish(channel, payload) {
        return this.client.publish(channel, payload);
    }
    emitter(nsp = '/axr', options = {}) {
        return new Emitter(this.client, options, nsp);
    }
    /* Resolves when redis has taken everything that was published before. */
    flush() {
        return deadline(this.client.ping(), within(10000), 'answer of redis');
    }
    /* Patterns and channels that are subscribed to now; redis 8 lists them in no order. */
    async subscriptions() {
        const patterns = await this.client.sendCommand(['PUBSUB', 'NUMPAT']);
        const channels = await this.client.sendCommand(['PUBSUB', 'CHANNELS']);
        return { patterns, channels: channels.sort() };
    }
    async stop() {
        for (const client of this.clients) if (client.isOpen) await client.disconnect().catch(() => {});
        this.clients.clear();
        if (!this.process || this.process.how) return;
        this.process.signal('SIGCONT');
        this.process.signal('SIGTERM');
        await this.process.ended(within(3000));
    }
    /* Again on the same port. */
    async again() {
        if (!(await this.launch())) throw new Error(`port ${this.port} was taken meanwhile`);
        await this.link();
    }
}

module.exports = { Redis, freePort };
