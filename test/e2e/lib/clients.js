'use strict';
/* Real socket.io-client packages, one for each generation. */
const { urlOf } = require('./dial');
const { within, deadline } = require('./time');

const VERSIONS = [1, 2, 3, 4];
/* 4.6 is the first that recovers. */
const libs = { 1: require('c1'), 2: require('c2'), 3: require('c3'), 4: require('c4'), 4.6: require('c46') };

class Client {
    /* how.token goes where this generation puts it; how.options override. */
    constructor(version, where, { token, nsp = '/axr', path = '/notifications', options = {} } = {}) {
        this.version = version;
        this.events = []; /* [name, ...args] of each */
        this.notes = []; /* what happened to the connection, in order */
        this.watchers = new Set();
        const credentials = version >= 3 ? { auth: { token } } : { query: { token } };
        this.socket = libs[version](urlOf(where) + nsp, {
            path, transports: ['websocket'], forceNew: true, reconnection: false, ...where.tls,
            ...(token === undefined ? {} : credentials), ...options,
        });
        const manager = this.socket.io;
        this.socket.on('connect', () => this.note('connect'));
        this.socket.on('disconnect', (reason) => this.note('disconnect', reason));
        this.socket.on('connect_error', (error) => this.note('connect_error', error));
        if (version < 3) this.socket.on('error', (error) => this.note('error', error));
        manager.on(version < 3 ? 'reconnecting' : 'reconnect_attempt', () => this.note('reconnecting'));
        this.hear();
    }
    /* Takes every event, whatever its name. */
    hear() {
        if (this.version >= 3) {
            this.socket.onAny((...args) => this.got(args));
            return;
        }
        this.socket.onevent = (packet) => this.got(packet.data);
    }
    got(args) {
        this.events.push(args);
        this.wake();
    }
    note(what, detail) {
        this.notes.push({ what, detail });
        this.wake();
    }
    wake() {
        for (const watcher of [...this.watchers]) watcher();
    }
    /* Resolves once check(this) is true. */
    when(check, ms, what) {
        let watcher;
        const met = new Promise((resolve) => {
            watcher = () => check(this) && resolve(this);
            this.watchers.add(watcher);
            watcher();
        });
        return deadline(met, ms, `${what} (client ${this.version}.x, ${JSON.stringify(this.notes)})`)
            .finally(() => this.watchers.delete(watcher));
    }
    noted(what, ms = within(3000)) {
        const find = () => this.notes.find((note) => note.what === what);
        return this.when(find, ms, what).then(find);
    }
    close() {
        const manager = this.socket.io;
        this.socket.close();
        (manager.close || manager._close).call(manager);
    }
}

/* A client that is connected to the namespace. */
async function connect(version, where, how) {
    const client = new Client(version, where, how);
    try {
        await client.noted('connect');
    } catch (error) {
        client.close();
        throw error;
    }
    return client;
}

module.exports = { VERSIONS, Client, connect };
