/* SPDX-License-Identifier: MIT */
#include "clients.h"

#include "daemon.h"
#include "plan.h"
#include "world.h"

#define PASSES_MAX    20000
#define IN_FLIGHT_MAX 32 /* lines of one client */
#define LATE          0  /* a kind that reads only when all that it asked must be answered */

static const struct {
    unsigned reads_every; /* one pass in as many; LATE */
    size_t lines_max;     /* that wait for their replies */
    bool may_batch;
} kinds[PLAN_CLIENTS] = {
    {30, IN_FLIGHT_MAX, true},   /* reads rarely */
    {1, 1, false},               /* two connections of a gateway */
    {1, 1, false},               /*                               */
    {LATE, IN_FLIGHT_MAX, true}, /* does not read */
    {2, 1, true},                /* asks and waits */
    {2, IN_FLIGHT_MAX, true},    /* pipelines */
    {1, IN_FLIGHT_MAX, true},    /* pipelines and reads at once */
};

static struct peer clients[PLAN_CLIENTS];
static size_t client_count;
static int64_t next_id;

void clients_begin(size_t count)
{
    client_count = count;
    for (size_t i = 0; i < count; i++)
        clients[i] = (struct peer){.fd = -1};
}

int64_t clients_next_id(void)
{
    return ++next_id;
}

static size_t clients_choose(void)
{
    return world_below(PLAN_CLIENTS) % client_count;
}

size_t clients_talk(void)
{
    size_t i = clients_choose(), count = world_one_in(2) ? world_below(BATCH_MAX) + 1 : 1;
    struct peer *peer = &clients[i];
    struct request made[BATCH_MAX];
    bool is_batch;

    if (peer->fd < 0)
        peer_connect(peer);
    if (peer->is_leaving || peer->line_count >= kinds[i].lines_max)
        return 0;
    if (!kinds[i].may_batch)
        count = 1;
    is_batch = count > 1 && (kinds[i].lines_max == 1 || world_one_in(3));
    for (size_t n = 0; n < count; n++)
        request_make(&made[n], ++next_id, is_batch);
    peer_add(peer, made, count, is_batch);
    peer_send(peer, world_one_in(4) ? world_below(200) : SIZE_MAX);
    return count;
}

void clients_read(void)
{
    for (size_t i = 0; i < client_count; i++) {
        if (clients[i].is_leaving)
            peer_send(&clients[i], SIZE_MAX);
        if (clients[i].fd >= 0 && kinds[i].reads_every && world_one_in(kinds[i].reads_every))
            peer_read(&clients[i]);
    }
}

void clients_hang_up(void)
{
    struct peer *peer = &clients[clients_choose()];

    if (world_one_in(3))
        peer_leave(peer);
    else
        peer_drop(peer);
}

void clients_drop(void)
{
    for (size_t i = 0; i < client_count; i++)
        peer_drop(&clients[i]);
}

void clients_hear(struct peer *peer)
{
    for (int pass = 0; peer->fd >= 0 && (peer->line_count || peer->out.len); pass++) {
        EXPECT(pass < PASSES_MAX, "a call is not answered");
        peer_send(peer, SIZE_MAX);
        daemon_pass();
        world_wait(10);
        peer_read(peer);
    }
}

void clients_settle(void)
{
    for (size_t i = 0; i < client_count; i++) {
        clients_hear(&clients[i]);
        peer_drop(&clients[i]);
    }
}
