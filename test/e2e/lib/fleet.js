'use strict';
/* Clients with default options in a process of their own: connects them while
 * messages ['n', index] are broadcast, says how far it has read from time to time, and
 * that all have upgraded, and after ['end', last] what was wrong with each one's
 * sequence.  argv[2]: JSON options. */
const path = require('path');

const AT_ONCE = 8;
const SAY_EVERY = 5; /* messages */

function run({ version, count, url, nsp, options, token }) {
    const io = require(`c${version}`);
    const state = { upgraded: 0, ended: 0, received: 0, first: [], wrong: [] };
    const say = (what, more = {}) => console.log(`${what} ${JSON.stringify(more)}`);
    let started = 0;

    /* Says the result once each has heard the end, or will not. */
    function over() {
        if (++state.ended === count) say('result', { ...state, wrong: state.wrong.slice(0, 20) });
    }
    function follow(id) {
        let next = null;
        let isOver = false;
        const finish = (why) => {
            if (why) state.wrong.push(`${id}: ${why}`);
            if (!isOver) over();
            isOver = true;
        };
        return {
            message(index) {
                if (next === null) state.first.push(index);
                else if (index !== next) state.wrong.push(`${id}: ${index} instead of ${next}`);
                next = index + 1;
                state.received++;
                if (id === 0 && index % SAY_EVERY === 0) console.log(`heard ${index}`);
            },
            end(last) {
                finish(next !== last && `ended at ${next}, not ${last}`);
            },
            lost(why) {
                console.log(`lost ${id}: ${why}, at ${next}`);
                finish(`${why}, at ${next}`);
            },
        };
    }
    function start() {
        const id = started++;
        const auth = version >= 3 ? { auth: { token } } : { query: { token } };
        const socket = io(url + nsp, { ...options, ...auth, forceNew: true, reconnection: false });
        const { message, end, lost } = follow(id);
        socket.on('n', message);
        socket.on('end', end);
        for (const what of ['connect_error', 'error', 'disconnect'])
            socket.on(what, (why) => lost(`${what} ${why}`));
        socket.on('connect', () => {
            const upgraded = () => {
                if (++state.upgraded === count) say('upgraded');
            };
            if (socket.io.engine.transport.name === 'websocket') upgraded();
            else socket.io.engine.on('upgrade', upgraded);
            if (started < count) start();
        });
    }
    while (started < Math.min(AT_ONCE, count)) start();
}

/* Starts one; resolves to the Process. */
function launch(context, options) {
    const { Process } = require('./proc');
    const fleet = new Process(process.execPath, [__filename, JSON.stringify(options)], { cwd: path.dirname(__dirname) });
    /* The last message that it has said to have read, or null. */
    fleet.heard = () => {
        const at = fleet.log.lastIndexOf('heard ');
        return at < 0 ? null : parseInt(fleet.log.slice(at + 6), 10);
    };
    context.show(fleet);
    context.after(() => {
        fleet.signal('SIGTERM');
        return fleet.ended(10000);
    });
    return fleet;
}

if (require.main === module) run(JSON.parse(process.argv[2]));
module.exports = { launch };
