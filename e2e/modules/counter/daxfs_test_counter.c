// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test only: increments a counter in memory that another kernel increments too, by compare and
 * exchange.
 *
 * The page at phys= holds three 64-bit words, each in a cache line of its own: the counter, the
 * number of participants that stand ready, and the start flag. Each participant announces itself
 * and spins until the flag is not zero, so that all of them really run at the same time. done= and
 * failed= say what this kernel did.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>

#define START_TIMEOUT_S 60
#define BURST 4096

struct shared_page {
	u64 counter;
	u64 pad0[7];
	u64 ready;
	u64 pad1[7];
	u64 start;
};

static unsigned long phys;
module_param(phys, ulong, 0444);
MODULE_PARM_DESC(phys, "physical address of the shared page");

static unsigned long count;
module_param(count, ulong, 0444);
MODULE_PARM_DESC(count, "increments to do");

static unsigned long done;
module_param(done, ulong, 0444);
MODULE_PARM_DESC(done, "increments done by this kernel");

static unsigned long failed;
module_param(failed, ulong, 0444);
MODULE_PARM_DESC(failed, "exchanges that lost against another participant");

static bool ended;
module_param(ended, bool, 0444);
MODULE_PARM_DESC(ended, "true once the thread has stopped");

static struct shared_page *page;
static struct task_struct *thread;

/* Full barriers come with cmpxchg(); the partner is the same code in the other kernel. */
static void add_one(u64 *word, unsigned long *lost)
{
	u64 old = READ_ONCE(*word);
	u64 seen;

	while ((seen = cmpxchg(word, old, old + 1)) != old) {
		old = seen;
		(*lost)++;
	}
}

static bool wait_for_start(void)
{
	unsigned long limit = jiffies + START_TIMEOUT_S * HZ;

	while (!READ_ONCE(page->start)) {
		if (kthread_should_stop() || time_after(jiffies, limit))
			return false;
		cpu_relax();
		cond_resched();
	}
	return true;
}

static int work(void *unused)
{
	unsigned long i, lost = 0;

	add_one(&page->ready, &lost);
	lost = 0;
	if (wait_for_start()) {
		for (i = 0; i < count && !kthread_should_stop(); i++) {
			add_one(&page->counter, &lost);
			if (i % BURST == 0)
				cond_resched();
		}
		WRITE_ONCE(done, i);
	}
	WRITE_ONCE(failed, lost);
	/* Pairs with whoever polls the parameter: the two counts come first. */
	smp_store_release(&ended, true);
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

static int __init counter_init(void)
{
	if (!phys || phys & ~PAGE_MASK)
		return -EINVAL;
	page = memremap(phys, PAGE_SIZE, MEMREMAP_WB);
	if (!page)
		return -ENOMEM;
	thread = kthread_run(work, NULL, "daxfs_test_counter");
	if (IS_ERR(thread)) {
		memunmap(page);
		return PTR_ERR(thread);
	}
	return 0;
}

static void __exit counter_exit(void)
{
	kthread_stop(thread);
	memunmap(page);
}

module_init(counter_init);
module_exit(counter_exit);
MODULE_DESCRIPTION("daxfs test: a counter two kernels share");
MODULE_LICENSE("GPL");
