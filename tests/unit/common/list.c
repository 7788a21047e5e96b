/* SPDX-License-Identifier: MIT */
/* The heap and the list. */
#include <inttypes.h>

#include "common/heap.h"
#include "common/list.h"
#include "fixture.h"

/* The heap */

#define HEAP_NODES 300

/* The nodes in the heap, with their expected keys. */
struct heap_model {
    struct heap_node nodes[HEAP_NODES];
    int64_t keys[HEAP_NODES];
    bool is_in[HEAP_NODES];
    size_t count;
};

static void heap_compare(const struct heap *heap, const struct heap_model *model)
{
    int64_t least = INT64_MAX;

    ck_assert_uint_eq(heap->count, model->count);
    for (size_t i = 0; i < HEAP_NODES; i++) {
        const struct heap_node *node = &model->nodes[i];
        bool right = model->is_in[i] ? node->key == model->keys[i] && node->index &&
                                           heap->nodes[node->index - 1] == node
                                     : node->index == 0;

        /* Not an assertion: Check writes each one to a file. */
        if (!right)
            ck_abort_msg("node %zu of key %" PRId64 " stands at %zu", i, node->key, node->index);
        if (model->is_in[i] && model->keys[i] < least)
            least = model->keys[i];
    }
    if (model->count)
        ck_assert_int_eq(heap_top(heap)->key, least);
    else
        ck_assert_ptr_null(heap_top(heap));
}

START_TEST(heap_follows_a_model)
{
    struct heap_model model = {0};
    struct heap heap = {0};

    chance = (uint64_t)_i + 1;
    for (int step = 0; step < 4000; step++) {
        size_t i = random_below(HEAP_NODES);

        if (random_below(100) < 60) {
            /* Few keys, so that many are equal; sometimes the extremes. */
            int64_t key = (int64_t)random_below(50) - 25;

            key = random_below(50) == 0 ? INT64_MIN : random_below(50) == 0 ? INT64_MAX : key;
            heap_set(&heap, &model.nodes[i], key);
            model.count += !model.is_in[i];
            model.is_in[i] = true;
            model.keys[i] = key;
        } else {
            heap_remove(&heap, &model.nodes[i]); /* harmless if it is in no heap */
            model.count -= model.is_in[i];
            model.is_in[i] = false;
        }
        heap_compare(&heap, &model);
    }
    /* The rest comes out in order. */
    for (int64_t last = INT64_MIN; model.count; model.count--) {
        struct heap_node *top = heap_top(&heap);

        ck_assert_int_ge(top->key, last);
        last = top->key;
        heap_remove(&heap, top);
        ck_assert_uint_eq(top->index, 0);
    }
    ck_assert_ptr_null(heap_top(&heap));
    heap_deinit(&heap);
}
END_TEST

/* The list */

struct item {
    int number;
    struct list link;
};

static void list_expect(struct list *list, const char *numbers)
{
    char forth[64] = "", back[64] = "";
    size_t n = 0;

    list_for_each (link, list)
        forth[n++] = (char)('0' + list_entry(link, struct item, link)->number);
    for (struct list *link = list->prev; link != list; link = link->prev)
        back[--n] = (char)('0' + list_entry(link, struct item, link)->number);
    ck_assert_str_eq(forth, numbers);
    ck_assert_str_eq(back, numbers);
    ck_assert(list_is_empty(list) == !numbers[0]);
}

START_TEST(list_chains)
{
    struct list list = LIST_INIT(list), other;
    struct item items[6];

    list_init(&other);
    list_expect(&list, "");
    list_splice(&list, &other);
    list_expect(&list, "");
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
        list_append(i < 4 ? &list : &other, &items[i].link);
    }
    list_expect(&list, "0123");
    list_remove(&items[1].link);
    list_expect(&list, "023");
    list_remove(&items[1].link); /* harmless */
    list_expect(&list, "023");
    list_splice(&list, &other);
    list_expect(&list, "02345");
    list_expect(&other, "");
    list_splice(&other, &list);
    list_expect(&other, "02345");
    list_expect(&list, "");
    list_for_each_safe (link, &other)
        if (list_entry(link, struct item, link)->number % 2)
            list_remove(link);
    list_expect(&other, "024");
    list_append(&other, &items[1].link);
    list_expect(&other, "0241");
    list_for_each_safe (link, &other)
        list_remove(link);
    list_expect(&other, "");
}
END_TEST

void add_list_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "heap");

    tcase_add_loop_test(tcase, heap_follows_a_model, 0, 5);
    tcase = add_case(suite, "list");
    tcase_add_test(tcase, list_chains);
}
