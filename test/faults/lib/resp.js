'use strict';
/* PUBLISH of ["seq", number] as an emitter would, made without one: for floods. */
const CHANNEL = 'socket.io#/axr#';

/* What emitter 5.x publishes, with the number as a uint32. */
function payload(number) {
    const uid = Buffer.from('93a7656d6974746572', 'hex');
    const packet = Buffer.from('83a47479706502a46461746192a3736571ce00000000a36e7370a42f617872', 'hex');
    packet.writeUInt32BE(number, packet.indexOf(0xce) + 1);
    return Buffer.concat([uid, packet, Buffer.from('83a5726f6f6d7390a665786365707490a5666c61677380', 'hex')]);
}

function encode(number) {
    const body = payload(number);
    const head = `*3\r\n$7\r\nPUBLISH\r\n$${CHANNEL.length}\r\n${CHANNEL}\r\n$${body.length}\r\n`;
    return Buffer.concat([Buffer.from(head), body, Buffer.from('\r\n')]);
}

module.exports = { encode };
