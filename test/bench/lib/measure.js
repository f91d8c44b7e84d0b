'use strict';
/* What several rows do: servers side by side, with clients that connect to all of them and messages
 * that go to all clients. */
const { NAMES } = require('./world');
const { median, turns, ratios } = require('./stats');

const PEERS = ['node', 'node2', 'bun', 'nodetls', 'nodersa', 'nginx', 'nginxrsa'];
const isPeer = (id) => PEERS.includes(id);

/* Those of ids that can be had; their swarms. */
async function swarmsOf(world, ids) {
    const swarms = {};
    for (const id of ids) {
        const swarm = isPeer(id) ? await world.peer(id) : await world.swarm(id);
        if (swarm) swarms[id] = swarm;
    }
    await world.only(...ids);
    return swarms;
}

const each = (answer) => answer.cpu_us / (answer.heard || answer.clients);
const cells = (values, unit, names = NAMES) =>
    Object.entries(values).map(([id, list]) => [names[id] || id, median(list), unit]);

/* A message to all, as publish says, from the servers ids in turns: CPU for each delivery, by id. */
async function deliveries(world, n, ids, publish) {
    const swarms = await swarmsOf(world, ids);
    for (const swarm of Object.values(swarms)) {
        await swarm.have(n.clients);
        await swarm.publish({ ...publish, messages: 2 });
    }
    const rounds = { rounds: n.rounds, steady: 2, others: n.others };
    return turns(Object.keys(swarms), rounds, async (id) =>
        each(await swarms[id].publish({ ...publish, messages: isPeer(id) ? n.fewer : n.messages })));
}

/* The same of connections.  how: fields of the swarm's command. */
async function connections(world, n, ids, how) {
    const swarms = await swarmsOf(world, ids);
    for (const swarm of Object.values(swarms)) await swarm.close();
    const rounds = { rounds: n.rounds, steady: 2, others: n.others };
    return turns(Object.keys(swarms), rounds, async (id) => {
        const answer = await swarms[id].connect(isPeer(id) ? n.fewer : n.clients, how);
        await swarms[id].close();
        return each(answer);
    });
}

/* KB per client, of a server that has had none before: a heap that was larger once shows less. */
async function growth(world, id, clients, names = NAMES) {
    const swarm = await world.peer(id, world.fresh(id));
    if (!swarm) return [];
    const before = await swarm.tell('memory');
    await swarm.connect(clients);
    const after = await swarm.tell('memory');
    await swarm.stop();
    await swarm.server.stop();
    return [[names[id], (after.all_kb - before.all_kb) / clients, 'KB']];
}

module.exports = { swarmsOf, each, cells, deliveries, connections, growth, median, ratios };
