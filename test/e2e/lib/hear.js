'use strict';
/* What clients hear, and, with a marker that comes last, what they do not. */
let marks = 0;

/* Publishes a marker to everyone and reads each client up to it: an array per
 * client of the events before the marker. */
async function heard(redis, clients, { nsp = '/axr', ms } = {}) {
    const mark = `marker ${++marks}`;
    redis.emitter(nsp).emit('marker', mark);
    return Promise.all(clients.map((client) => untilMarker(client, mark, ms)));
}

async function untilMarker(client, mark, ms) {
    const events = [];
    for (;;) {
        /* What has come already is read without a turn of the event loop: give it some. */
        if (events.length % 1000 === 999) await new Promise(setImmediate);
        const event = await client.event(ms);
        if (event.args[0] === 'marker' && event.args[1] === mark) return events;
        events.push(event);
    }
}

/* The same, as first arguments only. */
async function heardArgs(redis, clients, options) {
    const all = await heard(redis, clients, options);
    return all.map((events) => events.map((event) => event.args[1]));
}

module.exports = { heard, heardArgs };
