'use strict';
/* A TCP proxy in front of redis that misbehaves when told to. */
const net = require('net');

class Proxy {
    static async start(context, target) {
        const proxy = new Proxy();
        proxy.target = target;
        proxy.pairs = new Set();
        proxy.accepted = 0;
        proxy.late = 0; /* ms: what redis says to a connection of then comes so much later */
        proxy.onConnection = null; /* takes a connection over: (socket) => ... */
        proxy.server = net.createServer((socket) => proxy.accept(socket));
        await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
        proxy.port = proxy.server.address().port;
        context.after(() => proxy.stop());
        return proxy;
    }
    accept(socket) {
        this.accepted++;
        socket.on('error', () => {});
        const pair = { socket };
        this.pairs.add(pair);
        socket.on('close', () => {
            this.pairs.delete(pair);
            if (pair.redis) pair.redis.destroy();
        });
        if (this.onConnection) {
            this.onConnection(socket);
            return;
        }
        pair.redis = net.connect({ port: this.target, host: '127.0.0.1' });
        pair.redis.on('error', () => {});
        pair.redis.on('close', () => socket.destroy());
        const { late } = this;
        const say = (data) => pair.isSilent || socket.destroyed || socket.write(data);
        pair.redis.on('data', (data) => (late ? setTimeout(say, late, data) : say(data)));
        socket.on('data', (data) => {
            if (data.includes('SUBSCRIBE')) pair.isSubscriber = true;
            if (!pair.isSilent) pair.redis.write(data);
        });
    }
    /* The connections of now go silent, both ways, and stay open: all of them, or those that
     * which(pair) names. */
    silence(which = () => true) {
        for (const pair of this.pairs) if (which(pair)) pair.isSilent = true;
    }
    /* Puts bytes into what redis says on the connections of now. */
    inject(bytes) {
        for (const { socket } of this.pairs) socket.write(bytes);
    }
    stop() {
        for (const { socket } of this.pairs) socket.destroy();
        return new Promise((resolve) => this.server.close(resolve));
    }
}

module.exports = { Proxy };
