'use strict';
/* Deadlines and waiting.  Nothing here sleeps: a wait ends with an event, or
 * with its deadline. */

/* A sanitizer build is slower: AXR_SLOW=3 stretches every deadline. */
const SLOW = Number(process.env.AXR_SLOW || 1);

/* What should happen within ms is waited for three times as long. */
function within(ms) {
    return ms * 3 * SLOW;
}

/* Settles as promise does, or rejects after ms milliseconds with what. */
function deadline(promise, ms, what) {
    const trace = new Error(`not within ${ms} ms: ${what}`);
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(trace), ms);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/* For what tells nobody (a process that ends, a file that appears): asks every
 * few milliseconds until check() is true; resolves to its value. */
async function until(check, ms, what) {
    const end = Date.now() + ms;
    for (;;) {
        const value = await check();
        if (value) return value;
        if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}

/* The passing of time itself, where that is the thing tested (a token that
 * expires, a reader that stalls).  Never a way to wait for something. */
function elapse(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
}

module.exports = { SLOW, within, deadline, until, elapse };
