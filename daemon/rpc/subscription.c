/* SPDX-License-Identifier: MIT */
/*
 * Followers of events. A subscription is a cursor into the ring of events: a connection gets what
 * lies ahead of it while its output has room, so that a slow reader costs nothing but its place.
 * If the ring overtakes the cursor, events are lost: the client is notified and disconnected.
 */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "engine/event.h"
#include "rpc/connection.h"

#define ROOM (256 * 1024) /* bytes of output at which no more events are added */

void subscription_start(struct connection *connection, const int64_t *profiles, size_t count,
                        int64_t after, bool is_foreign)
{
    const struct event_log *events = engine_events(connection->server->engine);
    struct subscription *subscription = &connection->subscription;

    subscription_end(connection);
    subscription->profiles = profiles ? xmalloc((count + 1) * sizeof(*profiles)) : NULL;
    if (profiles)
        memcpy(subscription->profiles, profiles, count * sizeof(*profiles));
    subscription->profile_count = count;
    subscription->is_announced = false;
    subscription->next = after >= 0 ? after + 1 : events->next;
    /* Earlier events do not count against the reader. */
    subscription->has_gap =
        is_foreign || subscription->next < events->first || subscription->next > events->next;
    list_append(&connection->server->subscribers, &subscription->link);
}

void subscription_end(struct connection *connection)
{
    list_remove(&connection->subscription.link);
    free(STEAL(connection->subscription.profiles));
}

bool subscription_is_active(const struct connection *connection)
{
    return !list_is_empty(&connection->subscription.link);
}

/* The value of `params` comes next. */
static void subscription_start_event(struct buf *out)
{
    json_out_object(out, NULL);
    json_out_text(out, "jsonrpc", "2.0");
    json_out_text(out, "method", "event");
    json_out_key(out, "params");
}

static void subscription_end_event(struct buf *out)
{
    json_out_end_object(out);
    buf_add_char(out, '\n');
}

static void subscription_add_gap(struct subscription *subscription, const struct event_log *events,
                                 struct buf *out)
{
    subscription_start_event(out);
    json_out_object(out, NULL);
    json_out_int(out, "seq", events->first - 1);
    json_out_text(out, "type", "gap");
    json_out_int(out, "from", subscription->next);
    json_out_int(out, "to", events->first - 1);
    json_out_end_object(out);
    subscription_end_event(out);
    subscription->next = events->first;
    subscription->has_gap = false;
}

static void subscription_add_dropped(const struct subscription *subscription,
                                     const struct event_log *events, struct buf *out)
{
    subscription_start_event(out);
    json_out_object(out, NULL);
    json_out_int(out, "seq", subscription->next - 1);
    json_out_text(out, "type", "dropped");
    json_out_printf(out, "reason",
                    "read too slowly: events up to %lld are no longer available; subscribe again",
                    (long long)events->first - 1);
    json_out_end_object(out);
    subscription_end_event(out);
}

static bool subscription_is_wanted(const struct subscription *subscription,
                                   const struct event *event)
{
    if (!subscription->profiles)
        return true;
    for (size_t i = 0; i < subscription->profile_count; i++)
        if (subscription->profiles[i] == event->profile_id)
            return true;
    return false;
}

void subscription_pump(struct connection *connection)
{
    const struct engine *engine = connection->server->engine;
    const struct event_log *events = engine_events(engine);
    struct subscription *subscription = &connection->subscription;
    struct buf *out = &connection->stream.out;

    if (!subscription_is_active(connection) || !subscription->is_announced || connection->is_dead ||
        connection->is_closing)
        return;
    if (subscription->has_gap)
        subscription_add_gap(subscription, events, out);
    if (subscription->next < events->first) {
        subscription_add_dropped(subscription, events, out);
        connection->is_closing = true;
        subscription_end(connection);
    } else {
        while (subscription->next < events->next && stream_pending(&connection->stream) < ROOM) {
            const struct event *event = event_get(events, subscription->next++);

            if (!subscription_is_wanted(subscription, event))
                continue;
            subscription_start_event(out);
            engine_print_event(engine, event, out);
            subscription_end_event(out);
        }
    }
}
