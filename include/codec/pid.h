/* pid - the private id of a session, by which a client proves that it was its own. */
#ifndef CODEC_PID_H
#define CODEC_PID_H

#define SESSION_LEN 15 /* bytes of the id of a session: those of a Socket.IO id */
#define PID_LEN     54 /* bytes of a pid, before base64url */

#endif
