/* SPDX-License-Identifier: MIT */
/* Chooses a profile for a task, and words the reason. */
#include "common/alloc.h"
#include "common/json_out.h"
#include "engine/fleet.h"
#include "engine/room.h"

size_t engine_route(struct engine *engine, struct engine_admission *admission,
                    struct router_candidate **ret_candidates, size_t *ret_count)
{
    CLEANUP(freep) struct profile **visible = xcalloc(engine->profile_count, sizeof(*visible));
    size_t count = 0;

    for (size_t i = 0; i < engine->profile_count; i++)
        if (engine_is_visible(engine->profiles[i]))
            visible[count++] = engine->profiles[i];
    admission->engine = engine;
    admission->request.now = engine->now.mono;
    admission->request.has_room = room_is_there;
    admission->request.is_nowhere =
        admission->request.node && !fleet_may_have(engine, admission->request.node);
    admission->request.data = admission;
    *ret_candidates = xcalloc(count, sizeof(**ret_candidates));
    *ret_count = count;
    return router_rank(&admission->request, visible, count, &engine->settings.routing,
                       *ret_candidates);
}

static void routing_print_candidate(const struct router_candidate *candidate, struct buf *out)
{
    json_out_object(out, NULL);
    json_out_text(out, "name", candidate->profile->config.name);
    json_out_number(out, "score", candidate->score);
    json_out_object(out, "terms");
    for (int t = 0; t < TERM_COUNT && !candidate->is_rejected; t++)
        json_out_number(out, router_term_names[t], candidate->terms[t]);
    json_out_end_object(out);
    if (candidate->is_rejected)
        json_out_text(out, "rejected", candidate->reason);
    json_out_end_object(out);
}

static void routing_print_reason(const struct router_candidate *candidates, size_t count,
                                 size_t fit, struct buf *out)
{
    const char *best = fit ? candidates[0].profile->config.name : "";
    bool is_unhealthy = fit && candidates[0].profile->health == HEALTH_UNHEALTHY;

    if (!fit && count == 1)
        buf_printf(out, "the only profile does not fit: %s", candidates[0].reason);
    else if (!fit)
        buf_printf(out, "none of %zu profiles fits", count);
    else if (fit == 1)
        buf_printf(out, "%s is the only one of %zu that fits", best, count);
    else if (!is_unhealthy && candidates[fit - 1].profile->health == HEALTH_UNHEALTHY)
        buf_printf(out, "%s has the best score of the healthy ones among the %zu that fit", best,
                   fit);
    else
        buf_printf(out, "%s has the best score of the %zu that fit", best, fit);
    if (is_unhealthy)
        buf_add_text(out, "; no healthy profile fits");
}

void engine_print_decision(const struct router_candidate *candidates, size_t count, size_t fit,
                           const struct profile *full, struct buf *out)
{
    CLEANUP(buf_deinit) struct buf reason = {0};

    json_out_array(out, "candidates");
    for (size_t i = 0; i < count; i++)
        routing_print_candidate(&candidates[i], out);
    json_out_end_array(out);
    if (full)
        buf_printf(&reason, "the queue of %s was full (queueLimit %lld); ", full->config.name,
                   (long long)full->config.queue_limit);
    routing_print_reason(candidates, count, fit, &reason);
    json_out_string(out, "reason", reason.data, reason.len);
}
