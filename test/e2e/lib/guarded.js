'use strict';
/* A redis with a password and with users that may do little. */
const fs = require('fs');
const path = require('path');
const { Redis } = require('./redis');

const PASSWORD = 'r3dis-p4ssw0rd';
async function guarded(t) {
    const redis = await Redis.start(t, { args: ['--requirepass', PASSWORD], auth: { password: PASSWORD } });
    /* redis wants a pattern that is subscribed to allowed as it is, not one that covers it */
    const channels = ['&socket.io#/axr#*', '&socket.io#/axr', '&socket.io#emitter'];
    const rules = ['on', `>${PASSWORD}2`, 'resetchannels', ...channels, '+subscribe', '+psubscribe', '+ping', '+select', '+publish'];
    await redis.client.sendCommand(['ACL', 'SETUSER', 'pusher', ...rules]);
    await redis.client.sendCommand(['ACL', 'SETUSER', 'nobody', 'on', `>${PASSWORD}2`, 'resetchannels', '+@all']);
    const file = path.join(redis.dir, 'password');
    fs.writeFileSync(file, `${PASSWORD}\n`, { mode: 0o600 });
    return { redis, file };
}

module.exports = { PASSWORD, guarded };
