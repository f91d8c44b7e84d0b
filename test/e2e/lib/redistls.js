'use strict';
/* A redis-server that speaks TLS on a port of its own, beside the one that the test uses. */
const fs = require('fs');
const net = require('net');
const path = require('path');
const tls = require('tls');
const { Redis, freePort } = require('./redis');
const { authority, LOCAL } = require('./certificates');

class RedisTls extends Redis {
    /* options.certificate: what it shows (one for LOCAL); options.clients: who signs those of
     * clients, which are wanted then; more options as for Redis. */
    static async start(context, options = {}) {
        const certificate = options.certificate || authority().issue({ names: LOCAL });
        return super.start(context, { ...options, certificate });
    }
    async launch() {
        const { certificate, clients, plainArgs = this.options.args || [] } = this.options;
        this.options.plainArgs = plainArgs;
        this.tlsPort = this.tlsPort || (await freePort());
        const files = certificate.write(this.dir, 'redis');
        this.ca = path.join(this.dir, 'ca.pem');
        fs.writeFileSync(this.ca, certificate.root);
        fs.writeFileSync(path.join(this.dir, 'clients.pem'), (clients || certificate).root);
        this.options.args = [
            ...plainArgs, '--tls-port', this.tlsPort, '--tls-cert-file', files.certFile, '--tls-key-file', files.keyFile,
            '--tls-ca-cert-file', path.join(this.dir, 'clients.pem'), '--tls-auth-clients', clients ? 'yes' : 'no',
        ];
        if (await super.launch()) return true;
        this.tlsPort = undefined;
        return false;
    }
    /* Shows another one to whoever connects from now on. */
    async show(certificate) {
        const files = certificate.write(this.dir, 'redis');
        await this.client.sendCommand(['CONFIG', 'SET', 'tls-cert-file', files.certFile, 'tls-key-file', files.keyFile]);
    }
    /* Settings of socket.io:redis that lead there. */
    settings(over = {}, tlsOver = {}) {
        return { port: this.tlsPort, tls: { caFile: this.ca, ...tlsOver }, ...over };
    }
    /* A client of the redis package, by TLS. */
    connectTls(options = {}) {
        return this.connect({ socket: { port: this.tlsPort, host: '127.0.0.1', tls: true, ca: [fs.readFileSync(this.ca)], reconnectStrategy: false }, ...options });
    }
}

/* TLS in front of a server that has none: what goes out has so many bytes in each record. */
async function front(context, { certificate, port, bytes = Infinity }) {
    const sockets = new Set();
    const server = tls.createServer({ cert: certificate.chain, key: certificate.key }, (socket) => {
        const inner = net.connect(port, '127.0.0.1');
        for (const one of [socket, inner]) {
            sockets.add(one);
            one.on('error', () => {});
            one.on('close', () => [socket, inner].forEach((other) => other.destroy()));
        }
        socket.on('data', (data) => inner.write(data));
        inner.on('data', (data) => {
            for (let at = 0; at < data.length; at += bytes) socket.write(data.subarray(at, at + bytes));
        });
    });
    server.on('tlsClientError', () => {});
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    context.after(() => {
        for (const one of sockets) one.destroy();
        server.close();
    });
    return { port: server.address().port, sockets };
}

module.exports = { RedisTls, front };
