/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The seam for memory that lives on another node: a pool of pages that the
 * processor cannot reach, putting such pages where a process expects its own,
 * bringing them home, and reading the pages of a process that has left.
 *
 * A page of the pool carries a tag: what to ask for, and whom.  The shim keeps
 * it and hands it back; only the callers above know what it means.  Tag 0 is
 * "no page".
 *
 * Included by kpi.h, which has the integer types.
 */
#ifndef HOLON_KPI_MM_H
#define HOLON_KPI_MM_H

struct mm_struct;
struct page;

#define KPI_PAGE_SIZE 4096
/* Most pages in one call to insert, bring home or peek. */
#define KPI_MM_BATCH_MAX 512

/* What a page of a process that has left turned out to be. */
#define KPI_PEEK_DATA 0 /* its content is in the page returned */
#define KPI_PEEK_ZERO 1 /* never written: reads as zeros */
#define KPI_PEEK_GONE 2 /* not to be had, or not anonymous memory */
#define KPI_PEEK_STILL 3 /* as DATA; while referenced, only its own process's tasks change it */

/* One batch of pages to put into a process. */
struct kpi_insert {
	struct mm_struct *mm;
	u64 start;	/* user address, page aligned */
	u64 pages;	/* at most KPI_MM_BATCH_MAX */
	u64 tag_first;	/* page i gets tag_first + i */
	u32 replace;	/* also where a private page is already */
	u32 huge;	/* as one huge page, or not at all: KPI_MM_BATCH_MAX pages, aligned */
	u32 dry;	/* out: the pool ran empty, the rest was not tried */
	u64 *src, *dst;	/* scratch, KPI_MM_BATCH_MAX entries each */
	u64 *pfn;	/* out: pool frame of page i, 0 if it did not go in */
	u64 taken;	/* out: pages taken out of the pool, each in place or given up */
};

/* One batch of pool pages to replace by real ones. */
struct kpi_home {
	u64 pages;	/* at most KPI_MM_BATCH_MAX */
	const u64 *pfn;	/* pool frames */
	const u64 *tag;	/* what each frame must still be */
	struct page **page; /* filled pages; taken (NULL) where used */
	u64 *src, *dst;	/* scratch, KPI_MM_BATCH_MAX entries each */
};

/* A huge page of the pool, and an ordinary one for it. */
struct kpi_huge {
	u64 pfn;	/* of its first frame */
	u64 tag;	/* what that must still be */
	struct page *page; /* the first of a filled huge page; taken (NULL) if used */
	u64 *src, *dst;	/* scratch, KPI_MM_BATCH_MAX entries each */
};

/* What a frame of the pool is the first of. */
#define KPI_FRAME_SINGLE 0 /* a page */
#define KPI_FRAME_HUGE 1   /* a huge page, whole wherever it is mapped */
#define KPI_FRAME_PARTS 2  /* a huge page of which parts are mapped */

/* Most pages in one batch that goes out. */
#define KPI_LODGE_MAX 32

/* One batch of a process's pages that goes out, in ascending addresses. */
struct kpi_lodge {
	struct mm_struct *mm;
	u64 pages;	/* at most KPI_LODGE_MAX */
	u64 addr[KPI_LODGE_MAX];
	void *copy[KPI_LODGE_MAX]; /* each a whole page: the content as it was looked at */
	u64 tag[KPI_LODGE_MAX]; /* what page i is to carry; 0: it is not to go */
	u32 any;	/* also what was touched since */
	u32 gone;	/* out: one bit per page that a pool page has replaced */
	u64 pfn[KPI_LODGE_MAX]; /* out: the frame of that */
	u64 src[KPI_LODGE_MAX], dst[KPI_LODGE_MAX]; /* scratch */
};

/* What is in 2 MiB of an address space: a bit per page. */
#define KPI_REGION_WORDS 8
struct kpi_region {
	u64 start;			/* user address */
	u64 here[KPI_REGION_WORDS];	/* may go out */
	u64 touched[KPI_REGION_WORDS];	/* of these: since the last call */
};

/* A process whose pages may go out. */
struct kpi_process {
	struct mm_struct *mm;	/* grabbed */
	void *pid_ns;		/* to be compared, no more */
	u32 pid;		/* in the first pid namespace */
	u32 pad;
};

/* A fault on a page of the pool, while it is being answered. */
struct kpi_fault {
	u64 tag;	/* what the page carries */
	u64 addr;	/* user address */
	u64 mm;		/* a number of the address space */
	void *vmf;	/* the shim's */
};

/* Pages that are put in beside one that was faulted on, in ascending addresses. */
struct kpi_place {
	u64 pages;	/* at most KPI_LODGE_MAX */
	u64 addr[KPI_LODGE_MAX];
	u64 tag[KPI_LODGE_MAX];
	struct page *page[KPI_LODGE_MAX]; /* filled */
};

/* What the pool holds. */
struct kpi_pool_stat {
	u64 chunks;
	u64 pages;
	u64 used;
};

/* A mapping, as far as this seam needs to know. */
struct kpi_area {
	u64 start, end;	/* user addresses */
	u32 anon;	/* plain anonymous memory */
	u32 cow;	/* private file memory that may hold written pages */
	u32 special;	/* neither is possible here (device, shared, huge) */
	u32 pad;
};

/* What is in a part of an address space. */
struct kpi_present {
	u64 bits[KPI_MM_BATCH_MAX / 64]; /* one per page: an anonymous page is there */
	u64 huge;	/* how many of these are of huge pages */
};

/* A run of pages. */
struct kpi_run {
	u64 start;	/* user address */
	u64 pages;
};

/* --- pool (mm_pool.c, mm_chunk.c) --- */
/* Adds a chunk of `bytes` (a multiple of 2 MiB).  May sleep. */
int kpi_pool_grow(u64 bytes);
void kpi_pool_stat(struct kpi_pool_stat *out);
/* Gives all chunks back; -EBUSY while a page is in use. */
int kpi_pool_exit(void);
/* What a frame of the pool carries now; 0 if nothing, or not a frame of the pool. */
u64 kpi_frame_tag(u64 pfn);
/* KPI_FRAME_...: as it seems now. */
u32 kpi_frame_huge(u64 pfn);

/* --- putting pages in (mm_insert.c) --- */
/*
 * Works on the mapping at in->start and stops at its end.  Returns how many
 * pages it looked at (pfn[] says which went in), or -errno: -EINVAL where no
 * such page can live, -EINTR when killed.
 */
long kpi_mm_insert(struct kpi_insert *in);
/* Gives [start, start + pages) of private file memory pages of its own. */
long kpi_mm_unshare(struct mm_struct *mm, u64 start, u64 pages);

/* --- bringing pages home (mm_home.c) --- */
/* Returns how many pages were replaced, or -errno. */
long kpi_mm_home(struct kpi_home *home);
/*
 * As kpi_mm_home(), of a huge page: 1 if it was replaced, 0 if not, 2 if there
 * are other references to the ordinary one.
 */
int kpi_mm_home_huge(struct kpi_huge *huge);
/*
 * Takes a huge page of the pool apart that is mapped here, so that its pages can
 * be replaced one by one.  0 if it was tried, -ENOENT if it is not here, -EAGAIN
 * if the address space is being changed.
 */
int kpi_mm_split(struct mm_struct *mm, struct kpi_huge *huge);

/* --- pages that go out (mm_lodge.c, mm_region.c) --- */
/*
 * Copies pages as they are now, while their process runs.  One bit for each
 * that was copied: an anonymous page of the process's own that nobody holds.
 * -EAGAIN if the address space is being changed.
 */
long kpi_mm_copy_out(struct kpi_lodge *lodge);
/*
 * Takes the pages away from their process that still are what was copied and,
 * without `any`, were not touched since.  With 0 the address space is locked
 * until kpi_mm_lodge_end(), and nobody can have seen the pool's pages before.
 * -EAGAIN as above.
 */
int kpi_mm_lodge_begin(struct kpi_lodge *lodge);
void kpi_mm_lodge_end(struct kpi_lodge *lodge);

/* What packing needs to work with, in bytes; aligned as a u64. */
#define KPI_PACK_WORK_LEN 16416

/* Packs a page into at most len bytes: how many it took; 0 if they are too few. */
size_t kpi_page_pack(const u8 *page, u8 *out, size_t len, void *work);
/* Makes the page again; false if that is not what the bytes are. */
bool kpi_page_unpack(const u8 *packed, size_t len, u8 *page);

/*
 * Looks at up to `max` pieces of 2 MiB, aligned, from `start` on that have pages,
 * and forgets who was touched.  Returns how many; *next is where to go on, ~0 at
 * the end.  -EAGAIN as above.
 */
long kpi_mm_regions(struct mm_struct *mm, u64 start, struct kpi_region *out, u64 max, u64 *next);
/*
 * The process whose address space has this number, in the first pid namespace; 0
 * if there is none.  Looks at all tasks.
 */
u32 kpi_process_of(u64 mm);
/* The processes of this machine, `max` at most: how many. */
long kpi_processes(struct kpi_process *out, u64 max);

/* --- out of memory (mm_oom.c) --- */
/* From here to the end kapi_mm_oom() is called before a process is killed for memory. */
int kpi_oom_begin(void);
void kpi_oom_end(void);

/* --- reading the memory of a process that has left (mm_serve.c) --- */
/*
 * Takes a reference on each page found: page[i] with KPI_PEEK_DATA or _STILL in what[i].
 * Returns 0, or -errno if none could be looked at.
 */
int kpi_mm_peek(struct mm_struct *mm, u64 start, u64 pages,
		struct page **page, u8 *what);
void kpi_mm_get(struct mm_struct *mm);
void kpi_mm_put(struct mm_struct *mm); /* may sleep */
void kpi_mm_put_later(struct mm_struct *mm); /* its mappings go elsewhere, not here */
/* Keeps the structure only, not the mappings; kpi_mm_try_get() fails when these are gone. */
void kpi_mm_grab(struct mm_struct *mm);
void kpi_mm_drop(struct mm_struct *mm);
bool kpi_mm_try_get(struct mm_struct *mm);
struct mm_struct *kpi_mm_current(void);

/* --- faults (mm_beside.c) --- */
/* What the pages of the pool at other addresses of the same mapping carry; 0: there is none. */
void kpi_fault_tags(const struct kpi_fault *fault, const u64 *addr, u64 *tag, u64 count);
/*
 * Of pages of this address space, at most KPI_LODGE_MAX: one bit for each that
 * is here, and one for each of these that was touched since it was put in.
 */
void kpi_fault_touched(const struct kpi_fault *fault, const u64 *addr, u64 count, u32 *here,
		       u32 *touched);
/*
 * Puts filled pages where pages of the pool with these tags are, in the mapping
 * of the fault.  Gives how many; those are NULL in `page` then.
 */
long kpi_fault_place(const struct kpi_fault *fault, struct kpi_place *place);

/* --- pages (mm_page.c) --- */
/* NULL unless there is memory at once. */
struct page *kpi_page_alloc_easily(void);
struct page *kpi_page_alloc(void);
/* Memory that nothing hangs on: others' is not paged out hard for it. */
struct page *kpi_page_alloc_spare(void);
/* The first of a huge page's pages: NULL unless there is a whole one without much ado. */
struct page *kpi_page_alloc_huge(void);
/* One of its pages, with a reference. */
struct page *kpi_page_part(struct page *page, u64 at);
void kpi_page_get(struct page *page);
void kpi_page_put(struct page *page);
void *kpi_page_addr(struct page *page);
void kpi_page_zero(struct page *page);

/* --- where a process has pages (mm_places.c) --- */
/* The first mapping that ends above addr: 1, or 0 if there is none. */
int kpi_mm_area(struct mm_struct *mm, u64 addr, struct kpi_area *out);
/*
 * Runs within [start, end) whose page tables are not empty, `max` at most.
 * Returns their number; *next is where to go on (== end when done).
 */
long kpi_mm_populated(struct mm_struct *mm, u64 start, u64 end,
		      struct kpi_run *out, u64 max, u64 *next);
/* At most KPI_MM_BATCH_MAX pages. */
int kpi_mm_present(struct mm_struct *mm, u64 start, u64 pages, struct kpi_present *out);
/* For each page the tag of the page of the pool that stands there, or 0. */
int kpi_mm_tags(struct mm_struct *mm, u64 start, u64 pages, u64 *tag);
/* Nonzero if some of its pages are in swap. */
int kpi_mm_swapped(struct mm_struct *mm);

/* --- called by the shim (kapi/src/mm.rs) --- */
/*
 * A process needs this page now: fill dst.  0, or -errno: the page is lost
 * (-EIO), the task is to die (-EINTR), or there is no memory (-ENOMEM): then the
 * access is tried again.  May sleep.
 */
int kapi_mm_page_wanted(const struct kpi_fault *fault, struct page *dst);
/* Has pages go, if some can, and waits for them for a moment. */
void kapi_mm_make_room(void);
/* How many pages were made free; with none a process is killed.  May sleep. */
u64 kapi_mm_oom(void);
/* Pages of the pool were given up by their last user, page i with tag + i.  Must not sleep. */
void kapi_mm_pages_freed(u64 tag, u64 pages);

#endif
