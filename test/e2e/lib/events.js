'use strict';
/* GET /events of the admin address: server-sent events as they come. */
const { dial } = require('./dial');
const { adminOf } = require('./metrics');
const { within, deadline } = require('./time');

class Events {
    static async open(t, daemon) {
        const events = new Events(await adminOf(daemon));
        t.after(() => events.close());
        return events;
    }
    constructor(where) {
        this.text = '';
        this.all = []; /* [event, data] */
        this.waiting = new Set();
        this.socket = dial(where);
        this.socket.setEncoding('utf8');
        this.socket.on('data', (text) => this.took(text));
        this.socket.on('error', () => {}); /* it closes */
        this.ended = new Promise((resolve) => this.socket.on('close', resolve));
        this.socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    }
    took(text) {
        this.text += text;
        for (;;) {
            const end = this.text.indexOf('\n\n');
            if (end < 0) return;
            this.block(this.text.slice(0, end));
            this.text = this.text.slice(end + 2);
        }
    }
    block(text) {
        if (this.head === undefined) this.head = text.split('\r\n\r\n')[0];
        const event = /^event: (.*)$/m.exec(text);
        if (!event) return;
        this.all.push([event[1], JSON.parse(/^data: (.*)$/m.exec(text)[1])]);
        for (const look of [...this.waiting]) look();
    }
    /* Resolves to the data of an event of that name, from now on, of which check() is true. */
    next(name, check = () => true, what = name, ms = within(5000)) {
        let at = this.all.length;
        let look;
        const found = new Promise((resolve) => {
            look = () => {
                for (; at < this.all.length; at++)
                    if (this.all[at][0] === name && check(this.all[at][1])) resolve(this.all[at][1]);
            };
            this.waiting.add(look);
        });
        return deadline(found, ms, what).finally(() => this.waiting.delete(look));
    }
    now(check, what) {
        return this.next('now', check, what);
    }
    /* The first of that name. */
    async first(name) {
        const has = this.all.find(([event]) => event === name);
        return has ? has[1] : this.next(name);
    }
    close() {
        this.socket.destroy();
    }
}

module.exports = { Events };
