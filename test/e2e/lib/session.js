'use strict';
/* Clients that say what they like of the session that they want back, byte by byte. */
const assert = require('assert');
const { Raw } = require('./raw');
const { Polling } = require('./http');
const { within } = require('./time');

const PID = /^[\w-]{72}$/;
const OFFSET = /^[\w-]{11}$/;

/* A client that has asked for the namespace and was let in: .reply is the object of the
 * answer, .recovered whether that says so.  claim: { pid, offset, more of auth }.  how: that
 * of Raw, or with polling: true of Polling. */
async function visit(context, addr, token, claim = {}, { polling, ...how } = {}) {
    const client = await (polling ? Polling.open(addr, { keep: true, ...how }) : Raw.open(addr, how));
    context.after(() => client.destroy());
    const packet = `40/axr,${JSON.stringify({ token, ...claim })}`;
    if (polling) await client.send(packet);
    else client.sendText(packet);
    client.answer = await client.text();
    assert.match(client.answer, /^40\/axr,\{/);
    client.reply = JSON.parse(client.answer.slice('40/axr,'.length));
    client.recovered = claim.pid !== undefined && client.reply.pid === claim.pid;
    return client;
}

/* The next event of a client, without its offset, which is then in client.offset. */
async function next(client, ms) {
    const { args } = await client.event(ms);
    const offset = args.pop();
    assert.match(offset, OFFSET, `behind ${JSON.stringify(args)}`);
    client.offset = offset;
    return args;
}
/* The next that is no $offset. */
async function nextEvent(client, ms) {
    for (;;) {
        const args = await next(client, ms);
        if (args[0] !== '$offset') return args;
    }
}
/* What clients have heard up to now, an array for each, without $offset. */
let marks = 0;
async function told(redis, clients, ms) {
    const mark = ++marks;
    redis.emitter().emit('mark', mark);
    return Promise.all(clients.map(async (client) => {
        const events = [];
        for (;;) {
            const args = await next(client, ms);
            if (args[0] === 'mark' && args[1] === mark) return events;
            if (args[0] !== '$offset' && args[0] !== 'mark') events.push(args);
        }
    }));
}

/* Publishes events of that name by fn(); resolves when a daemon has taken count of them. */
async function taken(daemon, event, count, fn) {
    const from = daemon.log.length;
    fn();
    const all = new RegExp(`(?:notification: event=${event} [^]*?){${count}}`);
    await daemon.logged(all, within(3000), from);
}

/* What a client says of itself when it comes back. */
const claimOf = ({ reply, offset }) => ({ pid: reply.pid, offset });

module.exports = { visit, next, nextEvent, told, taken, claimOf, PID, OFFSET };
