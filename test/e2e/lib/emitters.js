'use strict';
/* Every generation of the emitter, as its users have it.  0.x to 3.x bring a redis
 * client of their own, 4.x and 5.x take ours. */
const { Emitter: Emitter4 } = require('e4');
const { Emitter: Emitter5 } = require('e5');
const notepack = require('notepack.io');
const { within, deadline } = require('./time');

/* dialect: of values, for 3.2 and 4.1 encode with notepack.io 2, 5.1 with 3. */
const GENERATIONS = {
    '0.2': { make: require('e0'), dialect: 'msgpack-js' },
    '1.1': { make: require('e1'), dialect: 'msgpack-js' },
    '2.0': { make: require('e2'), dialect: 'msgpack-lite' },
    '3.2': { make: require('e3'), dialect: 'notepack 2' },
    '4.1': { Class: Emitter4, dialect: 'notepack 2' },
    '5.1': { Class: Emitter5, dialect: 'notepack 3' },
};
const VERSIONS = Object.keys(GENERATIONS);

class AnyEmitter {
    constructor(context, redis, version) {
        const { make, Class, dialect } = GENERATIONS[version];
        Object.assign(this, { redis, version, dialect });
        if (Class) {
            this.io = new Class(redis.client);
            return;
        }
        this.io = make({ host: '127.0.0.1', port: redis.port });
        this.own = this.io.redis;
        this.own.on('error', () => {});
        context.after(() => this.own.end(true));
    }
    /* In our namespace, which the older ones forget with every emit. */
    get axr() {
        return this.io.of('/axr');
    }
    /* Resolves when redis has taken everything that was published before. */
    flush() {
        if (!this.own) return this.redis.flush();
        const answered = new Promise((resolve) => this.own.publish('nobody', '', resolve));
        return deadline(answered, within(5000), `answer of redis to emitter ${this.version}`);
    }
}

/* An emitter in our namespace that publishes to nobody: take() has what it would have
 * published since, as [channel, payload] each. */
class Recorder {
    constructor(version) {
        const { make, Class, dialect } = GENERATIONS[version];
        const published = [];
        /* hset: that is how the older ones know a client */
        const client = { hset() {}, publish: (channel, payload) => published.push([channel, payload]) };
        Object.assign(this, { version, dialect, published, io: Class ? new Class(client) : make(client) });
    }
    get axr() {
        return this.io.of('/axr');
    }
    take() {
        return this.published.splice(0).map(([channel, payload]) => [channel, Buffer.from(payload)]);
    }
}

/* One payload as 5.1 would publish it, with opts that it would not have. */
const payloadOf = (opts, ...data) => notepack.encode(['u', { type: 2, data, nsp: '/axr' }, opts]);

module.exports = { VERSIONS, AnyEmitter, Recorder, payloadOf };
