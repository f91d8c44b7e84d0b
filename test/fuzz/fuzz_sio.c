/* A Socket.IO packet.  The first byte says which version it came with (bit 0: 3).
 * What is accepted is written again from its parts, and must read the same.  What it claims of
 * a session is what a JSON parser of another's finds there. */
#include "base/base64.h"
#include "codec/json.h"
#include "codec/sio.h"
#include "sio/claim.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

static void put_slice(struct buf *out, struct slice s)
{
    buf_put(out, s.ptr, s.len);
}

static void put_packet(struct buf *out, const struct sio_packet *packet)
{
    buf_printf(out, "%d", (int)packet->type);
    if (packet->attachments > 0)
        buf_printf(out, "%u-", packet->attachments);
    put_slice(out, packet->nsp);
    if (packet->query.len > 0)
        buf_putc(out, '?');
    put_slice(out, packet->query);
    buf_putc(out, ',');
    if (packet->has_id)
        buf_printf(out, "%llu", (unsigned long long)packet->id);
    put_slice(out, packet->data);
}

/* It is a value inside of the data; without one there is nothing but space in the brackets. */
static void check_first(const struct sio_packet *packet)
{
    struct slice first = sio_first(packet), data = packet->data;

    if (first.len == 0) {
        if (data.len > 0 && data.ptr[0] == '[')
            for (size_t i = 1; i + 1 < data.len; i++)
                must(strchr(" \t\n\r", data.ptr[i]) != NULL);
        return;
    }
    must(data.ptr[0] == '[' && first.ptr > data.ptr && first.ptr + first.len < data.ptr + data.len);
    must(json_span(first.ptr, first.len) == (long)first.len);
}

static void check_packet(const struct sio_packet *packet)
{
    int binary = packet->type == SIO_BINARY_EVENT || packet->type == SIO_BINARY_ACK;

    must(packet->type >= SIO_CONNECT && packet->type <= SIO_BINARY_ACK);
    must(binary == (packet->attachments > 0) && packet->attachments <= SIO_ATTACHMENTS_MAX);
    must(packet->nsp.len > 0 && packet->nsp.ptr[0] == '/');
    must(memchr(packet->nsp.ptr, ',', packet->nsp.len) == NULL);
    must(packet->data.len == 0 ||
         json_span(packet->data.ptr, packet->data.len) == (long)packet->data.len);
    must(packet->type != SIO_DISCONNECT || packet->data.len == 0);
    check_first(packet);
}

/* The last one of that name; NULL: there is none, or null. */
static const cJSON *last_of(const cJSON *tree, const char *name)
{
    const cJSON *last = NULL;

    for (const cJSON *one = tree->child; one != NULL; one = one->next)
        if (strcmp(one->string, name) == 0)
            last = cJSON_IsNull(one) ? NULL : one;
    return last;
}

static int says(const cJSON *member, const char *text, size_t len)
{
    return cJSON_IsString(member) && strlen(member->valuestring) == len &&
           memcmp(member->valuestring, text, len) == 0;
}

static int is_no(const cJSON *member)
{
    return cJSON_IsFalse(member) || says(member, "false", 5) || says(member, "0", 1);
}

static void check_claim(const struct sio_packet *packet)
{
    struct sio_claim claim;
    char pid[PID_TEXT_LEN], offset[OFFSET_LEN];
    const cJSON *wants;
    cJSON *tree;

    sio_claim_get(packet, &claim);
    must(!(claim.has_pid && claim.bad_pid) && !(claim.has_offset && claim.bad_offset));
    must(!claim.has_offset || claim.offset != 0);
    if (packet->data.len == 0 || packet->data.ptr[0] != '{') {
        must(claim.wants && !claim.has_pid && !claim.bad_pid && !claim.has_offset &&
             !claim.bad_offset);
        return;
    }
    if ((tree = json_tree(packet->data)) == NULL)
        return;
    must((claim.has_pid || claim.bad_pid) == (last_of(tree, "pid") != NULL));
    must((claim.has_offset || claim.bad_offset) == (last_of(tree, "offset") != NULL));
    base64url_encode(pid, claim.pid, PID_LEN);
    must(!claim.has_pid || says(last_of(tree, "pid"), pid, sizeof(pid)));
    if (claim.has_offset)
        offset_write(offset, claim.offset);
    must(!claim.has_offset || says(last_of(tree, "offset"), offset, sizeof(offset)));
    wants = last_of(tree, "recovery");
    must(claim.wants || is_no(wants) || (cJSON_IsNumber(wants) && wants->valuedouble == 0));
    must(!claim.wants || !is_no(wants));
    cJSON_Delete(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sio_packet packet, again;
    struct buf out = {0};
    enum eio_version version;

    if (size == 0)
        return 0;
    version = data[0] & 1 ? EIO3 : EIO4;
    if (sio_decode(&packet, version, (struct slice){(const char *)data + 1, size - 1}) == 0) {
        check_packet(&packet);
        check_claim(&packet);
        put_packet(&out, &packet);
        must(sio_decode(&again, version, (struct slice){(char *)out.data, out.len}) == 0);
        must(again.type == packet.type && again.attachments == packet.attachments &&
             again.has_id == packet.has_id && again.id == packet.id &&
             slice_eq(again.nsp, packet.nsp) && slice_eq(again.query, packet.query) &&
             slice_eq(again.data, packet.data));
    }
    buf_free(&out);
    return 0;
}
