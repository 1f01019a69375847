/*
 * SQLite in memory: inserts, updates, selects, deletes and a vacuum, with sums that say whether all of it is right. Prints
 * the answers. With -DTHREADS each of four threads has a database of its own.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sqlite3.h"
#ifdef THREADS
#include <pthread.h>
#include "wasm_mempool_malloc.h"
#endif

/* The least of a VFS: no files, as :memory: and temporary tables in memory need none. */
static int cannot_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
  (void)vfs, (void)name, (void)flags, (void)out;
  file->pMethods = 0;
  return SQLITE_CANTOPEN;
}
static int delete_none(sqlite3_vfs *vfs, const char *name, int sync) { return (void)vfs, (void)name, (void)sync, SQLITE_OK; }
static int access_none(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
  (void)vfs, (void)name, (void)flags;
  *out = 0;
  return SQLITE_OK;
}
static int full_name(sqlite3_vfs *vfs, const char *name, int most, char *out) {
  (void)vfs;
  snprintf(out, most, "%s", name);
  return SQLITE_OK;
}
static int randomness(sqlite3_vfs *vfs, int bytes, char *out) {
  (void)vfs;
  memset(out, 7, bytes);
  return bytes;
}
static int no_sleep(sqlite3_vfs *vfs, int microseconds) { return (void)vfs, microseconds; }
static int now(sqlite3_vfs *vfs, double *out) {
  (void)vfs;
  *out = 2460000.5;
  return SQLITE_OK;
}
static int now64(sqlite3_vfs *vfs, sqlite3_int64 *out) {
  (void)vfs;
  *out = 2460000 * (sqlite3_int64)86400000;
  return SQLITE_OK;
}
static int last_error(sqlite3_vfs *vfs, int most, char *out) { return (void)vfs, (void)most, (void)out, 0; }

int sqlite3_os_init(void) {
  static sqlite3_vfs vfs = {.iVersion = 2,
                            .szOsFile = sizeof(sqlite3_file),
                            .mxPathname = 100,
                            .zName = "none",
                            .xOpen = cannot_open,
                            .xDelete = delete_none,
                            .xAccess = access_none,
                            .xFullPathname = full_name,
                            .xRandomness = randomness,
                            .xSleep = no_sleep,
                            .xCurrentTime = now,
                            .xGetLastError = last_error,
                            .xCurrentTimeInt64 = now64};
  return sqlite3_vfs_register(&vfs, 1);
}
int sqlite3_os_end(void) { return SQLITE_OK; }

struct job {
  int seed;
  int failed;
  char text[2000];
};

static int row(void *job, int columns, char **values, char **names) {
  (void)names;
  char *text = ((struct job *)job)->text;
  for (int i = 0; i < columns; i++)
    snprintf(text + strlen(text), 2000 - strlen(text), "%s%s", values[i] ? values[i] : "null", i + 1 < columns ? "|" : "\n");
  return 0;
}

static void sql(struct job *job, sqlite3 *db, const char *text) {
  char *error = 0;
  if (sqlite3_exec(db, text, row, job, &error) == SQLITE_OK) return;
  job->failed = 1;
  snprintf(job->text, 2000, "%s: %s\n", text, error ? error : "no message");
  sqlite3_free(error);
}

enum { ROWS = 20000 };

static void *run(void *argument) {
  struct job *job = argument;
  sqlite3 *db;
  if (sqlite3_open(":memory:", &db) != SQLITE_OK) return job->failed = 1, (void *)0;
  sql(job, db, "create table item (id integer primary key, name text, weight real, data blob); begin");
  sqlite3_stmt *insert;
  sqlite3_prepare_v2(db, "insert into item values (?1, ?2, ?3, zeroblob(?4))", -1, &insert, 0);
  uint32_t state = job->seed;
  for (int i = 1; i <= ROWS; i++) {
    char name[40];
    state = state * 1664525 + 1013904223;
    snprintf(name, sizeof name, "item %u", state >> 12);
    sqlite3_bind_int(insert, 1, i);
    sqlite3_bind_text(insert, 2, name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_double(insert, 3, (state >> 8) / 7.0);
    sqlite3_bind_int(insert, 4, i % 1000 ? state >> 24 : 50000);
    if (sqlite3_step(insert) != SQLITE_DONE) job->failed = 1;
    sqlite3_reset(insert);
  }
  sqlite3_finalize(insert);
  sql(job, db, "commit; create index by_name on item (name); create table gone (id integer, at integer)");
  sql(job, db, "create trigger deleted after delete on item begin insert into gone values (old.id, random() is not null); end");
  sql(job, db, "select count(*), sum(id), sum(length(data)), round(avg(weight), 3) from item");
  sql(job, db, "update item set name = name || ' of ' || id where id % 7 = 0");
  sql(job, db, "delete from item where id % 3 = 0");
  sql(job, db, "select count(*), sum(id), count(distinct name), max(length(name)) from item");
  sql(job, db, "select count(*), sum(id), sum(at) from gone");
  for (int i = 0; i < 2000; i++) {
    char text[200];
    state = state * 1664525 + 1013904223;
    snprintf(text, sizeof text, "insert into gone select id, %d from item where id = %u", i, (state >> 8) % ROWS);
    sql(job, db, text);
  }
  sql(job, db, "select count(*), sum(at), sum(a.id) from gone a join item b on b.id = a.id");
  sql(job, db, "select name, count(*) from (select substr(name, 1, 6) name from item) group by name order by 2 desc, 1 limit 5");
  sql(job, db, "select group_concat(id, ' ') from (select id from item order by weight desc limit 8)");
  sql(job, db, "with recursive n (i) as (select 1 union all select i + 1 from n where i < 50000) select sum(i * i) from n");
  sql(job, db, "vacuum; pragma integrity_check; drop table item; select count(*) from gone");
  sqlite3_close(db);
#ifdef THREADS
  malloc_thread_exit();
#endif
  return 0;
}

int main(void) {
  static struct job jobs[4];
  sqlite3_initialize();
  /* Without statistics databases share nothing: one thread may work with each. */
  int count = 1, failed = 0;
#ifdef THREADS
  count = 4;
  pthread_t threads[4];
  for (int i = 0; i < count; i++) {
    jobs[i].seed = i + 1;
    if (pthread_create(&threads[i], 0, run, &jobs[i])) return 2;
  }
  for (int i = 0; i < count; i++) pthread_join(threads[i], 0);
#else
  jobs[0].seed = 1;
  run(&jobs[0]);
#endif
  for (int i = 0; i < count; i++) {
    fputs(jobs[i].text, stdout);
    failed |= jobs[i].failed;
  }
  return failed;
}
