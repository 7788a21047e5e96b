/* SPDX-License-Identifier: MIT */
#include "rpc/shape.h"

#include "common/alloc.h"

const struct shape shape_any = {SHAPE_ANY};
const struct shape shape_boolean = {SHAPE_BOOLEAN};
const struct shape shape_true = {SHAPE_TRUE};
const struct shape shape_integer = {SHAPE_INTEGER};
const struct shape shape_number = {SHAPE_NUMBER};
const struct shape shape_string = {SHAPE_STRING};
const struct shape shape_time = {SHAPE_TIME};
const struct shape shape_object = {SHAPE_OBJECT};
const struct shape shape_strings = {SHAPE_ARRAY, .of = &shape_string};

static void print_schema(const struct shape *shape, bool is_nullable, struct buf *out);

/* What stands for the shape where it is used, without the braces. */
static void print_use(const struct shape *shape, bool is_nullable, struct buf *out)
{
    if (!shape->name)
        print_schema(shape, is_nullable, out);
    else if (is_nullable)
        buf_printf(out, "\"anyOf\":[{\"$ref\":\"#/components/schemas/%s\"},{\"type\":\"null\"}]",
                   shape->name);
    else
        buf_printf(out, "\"$ref\":\"#/components/schemas/%s\"", shape->name);
}

static void print_type(const char *type, bool is_nullable, struct buf *out)
{
    buf_printf(out, is_nullable ? "\"type\":[\"%s\",\"null\"]" : "\"type\":\"%s\"", type);
}

static void print_enum(const struct shape *shape, bool is_nullable, struct buf *out)
{
    print_type("string", is_nullable, out);
    buf_add_text(out, ",\"enum\":[");
    for (size_t i = 0; shape->values[i]; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", shape->values[i]);
    buf_add_text(out, is_nullable ? ",null]" : "]");
}

static void print_map(const struct shape *shape, struct buf *out)
{
    if (!shape->values) {
        buf_add_text(out, ",\"additionalProperties\":{");
        print_use(shape->of, shape->has_nulls, out);
        buf_add_char(out, '}');
        return;
    }
    buf_add_text(out, ",\"properties\":{");
    for (size_t i = 0; shape->values[i]; i++) {
        buf_printf(out, "%s\"%s\":{", i ? "," : "", shape->values[i]);
        print_use(shape->of, shape->has_nulls, out);
        buf_add_char(out, '}');
    }
    buf_add_char(out, '}');
}

static void print_member(const struct shape_member *member, struct buf *out)
{
    CLEANUP(buf_deinit) struct buf doc = {0};

    buf_add_text(&doc, member->doc);
    if (member->null)
        buf_printf(&doc, "; null %s", member->null);
    if (member->absent)
        buf_printf(&doc, "; absent %s", member->absent);
    buf_printf(out, "\"%s\":{\"description\":", member->name);
    buf_add_json_string(out, doc.data, doc.len);
    if (member->shape->kind != SHAPE_ANY) {
        buf_add_char(out, ',');
        print_use(member->shape, member->null, out);
    }
    buf_add_char(out, '}');
}

static void print_members(const struct shape_member *members, struct buf *out)
{
    const char *separator = "";

    buf_add_text(out, ",\"properties\":{");
    for (const struct shape_member *m = members; m->name; m++) {
        buf_add_text(out, m == members ? "" : ",");
        print_member(m, out);
    }
    buf_add_text(out, "},\"required\":[");
    for (const struct shape_member *m = members; m->name; m++) {
        if (m->absent)
            continue;
        buf_printf(out, "%s\"%s\"", separator, m->name);
        separator = ",";
    }
    buf_add_char(out, ']');
}

static void print_choices(const struct shape *shape, struct buf *out)
{
    buf_add_text(out, "\"oneOf\":[");
    for (size_t i = 0; shape->choices[i]; i++) {
        buf_add_text(out, i ? ",{" : "{");
        print_use(shape->choices[i], false, out);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

/* The schema itself, without the braces. */
static void print_schema(const struct shape *shape, bool is_nullable, struct buf *out)
{
    switch (shape->kind) {
    case SHAPE_ANY:
        break;
    case SHAPE_BOOLEAN:
        print_type("boolean", is_nullable, out);
        break;
    case SHAPE_TRUE:
        buf_add_text(out, "\"const\":true");
        break;
    case SHAPE_INTEGER:
        print_type("integer", is_nullable, out);
        break;
    case SHAPE_NUMBER:
        print_type("number", is_nullable, out);
        break;
    case SHAPE_STRING:
        print_type("string", is_nullable, out);
        break;
    case SHAPE_TIME:
        print_type("string", is_nullable, out);
        buf_add_text(out, ",\"format\":\"date-time\"");
        break;
    case SHAPE_ENUM:
        print_enum(shape, is_nullable, out);
        break;
    case SHAPE_ARRAY:
        print_type("array", is_nullable, out);
        buf_add_text(out, ",\"items\":{");
        print_use(shape->of, shape->has_nulls, out);
        buf_add_char(out, '}');
        break;
    case SHAPE_MAP:
        print_type("object", is_nullable, out);
        print_map(shape, out);
        break;
    case SHAPE_OBJECT:
        print_type("object", is_nullable, out);
        if (shape->members)
            print_members(shape->members, out);
        else
            buf_add_text(out, ",\"additionalProperties\":true");
        break;
    case SHAPE_ONE_OF:
        print_choices(shape, out);
        break;
    }
}

void shape_print(const struct shape *shape, struct buf *out)
{
    buf_add_char(out, '{');
    print_use(shape, false, out);
    buf_add_char(out, '}');
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
    buf_add_char(out, '{');
    for (size_t i = 0; i < list->count; i++) {
        const struct shape *shape = list->shapes[i];

        buf_printf(out, "%s\"%s\":{\"description\":", i ? "," : "", shape->name);
        buf_add_json_text(out, shape->doc);
        buf_add_char(out, ',');
        print_schema(shape, false, out);
        buf_add_char(out, '}');
    }
    buf_add_char(out, '}');
}
