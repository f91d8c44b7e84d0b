'use strict';
/* What the daemon does otherwise than a Node server in its place would, and why. */

/* of: generations, where: pattern of "group: step", change(what was seen with Node
 * servers) makes what has to be seen with the daemon of it. */
const DECIDED = [];

function expected(node, generation, where) {
    let wanted = node;
    for (const one of DECIDED) if (one.of(generation.split(',')[0]) && one.where.test(where)) wanted = one.change(wanted);
    return wanted;
}

module.exports = { DECIDED, expected };
