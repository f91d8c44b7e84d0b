'use strict';
/* What the daemon does otherwise than a Node server in its place would, and why. */
const { isDeepStrictEqual } = require('util');

const each = (clients, change) => Object.fromEntries(Object.entries(clients).map(([name, told]) => [name, name[0] === 'n' ? told : change(told, name)]));
const events = (seen, change) => ({ ...seen, clients: each(seen.clients, (told, name) => ({ ...told, events: change(told.events, name) })) });

/* As lib/clients.js tells of bytes. */
const bytesOf = (value) => (value && value.type === 'Buffer' ? { bytes: Buffer.from(value.data).toString('hex') } : value);

/* Who is in the rooms that are excluded, of clients 1.x and 2.x. */
const EXCLUDED = { 'all but a room': ['w1', 'w2', 'd2'], 'a room but another': ['w2'], 'a room but an array': ['w1', 'w2', 'd1'], 'all but everybody': ['w1', 'd1', 'w2', 'd2'] };
const excludedIn = (where) => EXCLUDED[/: to (.*)$/.exec(where)[1]] || [];

/* of: generations; where: pattern of "group: step"; change(what was seen with Node
 * servers, "group: step") makes what has to be seen with the daemon of it.  The client on
 * the first server, n..., is a Node server's in both. */
const DECIDED = [
    {
        why: 'Emitters from 3.0 on leave it to the server to find bytes in a message; one of 2.x does not look, and its clients are told of an object. Here bytes are bytes for all.',
        of: ['5.4'], where: /^emits: [45]: to/,
        change: (seen) => events(seen, (told) => told.map((args) => args.map(bytesOf))),
    },
    {
        why: 'What emitters from 4.0 on exclude are rooms; a server of 2.x takes them for ids. Here they are rooms for all.',
        of: ['5.4'], where: /^emits: [45]: to .* but /,
        change: (seen, where) => events(seen, (told, name) => (excludedIn(where).includes(name) ? [] : told)),
    },
    {
        why: 'notepack.io writes numbers above 2^53 modulo 2^64: of -1.5e300 a Node server makes 0. Here it is the number that the client has said.',
        of: ['7.2', '8.3'], where: /: ask for a large number$/,
        change: (seen) => ({ ...seen, value: { ...seen.value, answers: seen.value.answers.map(() => -1.5e300) } }),
    },
];

/* What has to be seen with the daemon; those of DECIDED that make a difference are used. */
function expected(node, generation, where) {
    const [version] = generation.split(',');
    let seen = node;
    for (const one of DECIDED) {
        if (!one.of.includes(version) || !one.where.test(where)) continue;
        const changed = one.change(seen, where);
        if (!isDeepStrictEqual(changed, seen)) one.isUsed = true;
        seen = changed;
    }
    return seen;
}

module.exports = { DECIDED, expected };
