/* SPDX-License-Identifier: MIT */
#include "rpc/shape.h"

#include "common/alloc.h"
#include "common/json_out.h"

const struct shape shape_any = {SHAPE_ANY};
const struct shape shape_boolean = {SHAPE_BOOLEAN};
const struct shape shape_true = {SHAPE_TRUE};
const struct shape shape_integer = {SHAPE_INTEGER};
const struct shape shape_number = {SHAPE_NUMBER};
const struct shape shape_string = {SHAPE_STRING};
const struct shape shape_time = {SHAPE_TIME};
const struct shape shape_object = {SHAPE_OBJECT};
const struct shape shape_strings = {SHAPE_ARRAY, .of = &shape_string};

static void shape_print_schema(const struct shape *shape, bool is_nullable, struct buf *out);

static void shape_print_reference(const struct shape *shape, struct buf *out)
{
    json_out_printf(out, "$ref", "#/components/schemas/%s", shape->name);
}

/* The schema that refers to the shape, without the braces. */
static void shape_print_use(const struct shape *shape, bool is_nullable, struct buf *out)
{
    if (!shape->name) {
        shape_print_schema(shape, is_nullable, out);
        return;
    }
    if (!is_nullable) {
        shape_print_reference(shape, out);
        return;
    }
    json_out_array(out, "anyOf");
    json_out_object(out, NULL);
    shape_print_reference(shape, out);
    json_out_end_object(out);
    json_out_object(out, NULL);
    json_out_text(out, "type", "null");
    json_out_end_object(out);
    json_out_end_array(out);
}

static void shape_print_use_as(const char *name, const struct shape *shape, bool is_nullable,
                               struct buf *out)
{
    json_out_object(out, name);
    shape_print_use(shape, is_nullable, out);
    json_out_end_object(out);
}

static void shape_print_type(const char *type, bool is_nullable, struct buf *out)
{
    if (!is_nullable) {
        json_out_text(out, "type", type);
        return;
    }
    json_out_array(out, "type");
    json_out_text(out, NULL, type);
    json_out_text(out, NULL, "null");
    json_out_end_array(out);
}

static void shape_print_enum(const struct shape *shape, bool is_nullable, struct buf *out)
{
    shape_print_type("string", is_nullable, out);
    json_out_array(out, "enum");
    for (size_t i = 0; shape->values[i]; i++)
        json_out_text(out, NULL, shape->values[i]);
    if (is_nullable)
        json_out_null(out, NULL);
    json_out_end_array(out);
}

static void shape_print_map(const struct shape *shape, struct buf *out)
{
    if (!shape->values) {
        shape_print_use_as("additionalProperties", shape->of, shape->has_nulls, out);
        return;
    }
    json_out_object(out, "properties");
    for (size_t i = 0; shape->values[i]; i++)
        shape_print_use_as(shape->values[i], shape->of, shape->has_nulls, out);
    json_out_end_object(out);
}

static void shape_print_member(const struct shape_member *member, struct buf *out)
{
    CLEANUP(buf_deinit) struct buf doc = {0};

    buf_add_text(&doc, member->doc);
    if (member->null)
        buf_printf(&doc, "; null %s", member->null);
    if (member->absent)
        buf_printf(&doc, "; absent %s", member->absent);
    json_out_object(out, member->name);
    json_out_string(out, "description", doc.data, doc.len);
    shape_print_use(member->shape, member->null, out);
    json_out_end_object(out);
}

static void shape_print_members(const struct shape_member *members, struct buf *out)
{
    json_out_object(out, "properties");
    for (const struct shape_member *m = members; m->name; m++)
        shape_print_member(m, out);
    json_out_end_object(out);
    json_out_array(out, "required");
    for (const struct shape_member *m = members; m->name; m++)
        if (!m->absent)
            json_out_text(out, NULL, m->name);
    json_out_end_array(out);
}

static void shape_print_open(const struct shape *shape, bool is_nullable, struct buf *out)
{
    json_out_array(out, "anyOf");
    shape_print_use_as(NULL, shape->of, false, out);
    json_out_object(out, NULL);
    shape_print_type("string", is_nullable, out);
    json_out_end_object(out);
    json_out_end_array(out);
}

static void shape_print_choices(const struct shape *shape, struct buf *out)
{
    json_out_array(out, "oneOf");
    for (size_t i = 0; shape->choices[i]; i++)
        shape_print_use_as(NULL, shape->choices[i], false, out);
    json_out_end_array(out);
}

/* The schema itself, without the braces. */
static void shape_print_schema(const struct shape *shape, bool is_nullable, struct buf *out)
{
    switch (shape->kind) {
    case SHAPE_ANY:
        break;
    case SHAPE_BOOLEAN:
        shape_print_type("boolean", is_nullable, out);
        break;
    case SHAPE_TRUE:
        json_out_bool(out, "const", true);
        break;
    case SHAPE_INTEGER:
        shape_print_type("integer", is_nullable, out);
        break;
    case SHAPE_NUMBER:
        shape_print_type("number", is_nullable, out);
        break;
    case SHAPE_STRING:
        shape_print_type("string", is_nullable, out);
        break;
    case SHAPE_TIME:
        shape_print_type("string", is_nullable, out);
        json_out_text(out, "format", "date-time");
        break;
    case SHAPE_ENUM:
        shape_print_enum(shape, is_nullable, out);
        break;
    case SHAPE_OPEN:
        shape_print_open(shape, is_nullable, out);
        break;
    case SHAPE_ARRAY:
        shape_print_type("array", is_nullable, out);
        shape_print_use_as("items", shape->of, shape->has_nulls, out);
        break;
    case SHAPE_MAP:
        shape_print_type("object", is_nullable, out);
        shape_print_map(shape, out);
        break;
    case SHAPE_OBJECT:
        shape_print_type("object", is_nullable, out);
        if (shape->members)
            shape_print_members(shape->members, out);
        else
            json_out_bool(out, "additionalProperties", true);
        break;
    case SHAPE_ONE_OF:
        shape_print_choices(shape, out);
        break;
    }
}

void shape_print(const struct shape *shape, struct buf *out)
{
    shape_print_use_as(NULL, shape, false, out);
}

void shape_list_deinit(struct shape_list *list)
{
    free(list->shapes);
    *list = (struct shape_list){0};
}

void shape_list_add(struct shape_list *list, const struct shape *shape)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->shapes[i] == shape)
            return;
    if (shape->name) {
        list->shapes = xrealloc(list->shapes, (list->count + 1) * sizeof(*list->shapes));
        list->shapes[list->count++] = shape;
    }
    if (shape->of)
        shape_list_add(list, shape->of);
    for (const struct shape_member *m = shape->members; m && m->name; m++)
        shape_list_add(list, m->shape);
    for (size_t i = 0; shape->choices && shape->choices[i]; i++)
        shape_list_add(list, shape->choices[i]);
}

void shape_list_print(const struct shape_list *list, struct buf *out)
{
    json_out_object(out, NULL);
    for (size_t i = 0; i < list->count; i++) {
        const struct shape *shape = list->shapes[i];

        json_out_object(out, shape->name);
        json_out_text(out, "description", shape->doc);
        shape_print_schema(shape, false, out);
        json_out_end_object(out);
    }
    json_out_end_object(out);
}
