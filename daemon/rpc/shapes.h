/* SPDX-License-Identifier: MIT */
/* The shapes that methods return, one file of tables per kind of object (rpc/shapes_*.c). */
#pragma once

#include "rpc/shape.h"

/* profiles */
extern const struct shape shape_profile, shape_profile_state, shape_profile_metrics;
extern const struct shape shape_profile_view, shape_status_change;
extern const struct shape shape_range, shape_health_state;

/* tasks */
extern const struct shape shape_task, shape_task_page, shape_assignment, shape_log_page;
extern const struct shape shape_best_profile, shape_task_status, shape_error_class,
    shape_any_error_class;
extern const struct shape shape_claim, shape_lease_extension;
extern const struct shape shape_permission;

/* figures */
extern const struct shape shape_metrics_history, shape_capacity, shape_anomaly;

/* acpd itself */
extern const struct shape shape_health, shape_subscription, shape_event, shape_success, shape_error;
