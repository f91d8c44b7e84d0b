'use strict';
/* A redis that is none: answers what a subscriber asks for, and keeps every byte of it.
 * .onSubscribed(connection) is called when all of its topics are confirmed.  Who publishes is
 * refused, so that requests are heard by a pattern; such a connection is none of .connections. */
const net = require('net');
const { within, until } = require('./time');

const bulk = (text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

/* The commands, as arrays of texts, that bytes begin with. */
function commandsOf(bytes) {
    const commands = [];
    let at = 0;
    const line = () => {
        const end = bytes.indexOf('\r\n', at);
        if (end < 0) throw new RangeError('more is to come');
        const text = bytes.toString('latin1', at, end);
        at = end + 2;
        return text;
    };
    try {
        while (at < bytes.length) {
            const command = [];
            for (let left = Number(line().slice(1)); left; left--) {
                const length = Number(line().slice(1));
                if (at + length + 2 > bytes.length) throw new RangeError('more is to come');
                command.push(bytes.toString('utf8', at, at + length));
                at += length + 2;
            }
            commands.push(command);
        }
    } catch (error) {
        if (!(error instanceof RangeError)) throw error;
    }
    return commands;
}

class FakeRedis {
    /* topics: how many a connection subscribes to. */
    static async start(context, { topics = 5 } = {}) {
        const fake = new FakeRedis();
        Object.assign(fake, { topics, connections: [], sockets: new Set() });
        fake.server = net.createServer((socket) => fake.accept(socket));
        await new Promise((resolve) => fake.server.listen(0, '127.0.0.1', resolve));
        fake.port = fake.server.address().port;
        context.after(() => fake.stop());
        return fake;
    }
    accept(socket) {
        const connection = { socket, at: Date.now(), bytes: Buffer.alloc(0), answered: 0, confirmed: 0 };
        this.sockets.add(socket);
        socket.on('error', () => {}).on('close', () => (connection.isOver = true));
        socket.on('data', (data) => {
            connection.bytes = Buffer.concat([connection.bytes, data]);
            const commands = commandsOf(connection.bytes);
            for (const command of commands.slice(connection.answered)) this.answer(connection, command);
            connection.answered = commands.length;
        });
    }
    answer(connection, [name, ...args]) {
        const { socket } = connection;
        if (name === 'CLIENT') this.connections.push(connection);
        if (/^P?SUBSCRIBE$/.test(name)) {
            for (const topic of args) socket.write(`*3\r\n${bulk(name.toLowerCase())}${bulk(topic)}:${++connection.confirmed}\r\n`);
            if (connection.confirmed < this.topics) return;
            connection.asked = connection.bytes; /* all that it takes to be subscribed */
            if (this.onSubscribed) this.onSubscribed(connection);
        } else if (name === 'PUBLISH') {
            socket.write('-NOPERM this user has no permissions\r\n');
        } else if (name === 'PING' && !connection.confirmed) {
            socket.write('+PONG\r\n');
        } else {
            socket.write(name === 'PING' ? `*2\r\n${bulk('pong')}${bulk(args[0] || '')}` : '+OK\r\n');
        }
    }
    /* Cut off by the server, at .closed. */
    close(connection) {
        connection.closed = Date.now();
        connection.socket.end();
    }
    /* Resolves to connection number i, from 0, once it is subscribed. */
    subscribed(i, ms = within(3000)) {
        return until(() => this.connections[i] && this.connections[i].asked && this.connections[i], ms, `connection ${i + 1} to redis`);
    }
    stop() {
        for (const socket of this.sockets) socket.destroy();
        return new Promise((resolve) => this.server.close(resolve));
    }
}

module.exports = { FakeRedis, commandsOf };
