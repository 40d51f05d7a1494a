// System calls by name and number, as data: what a workerd needs, what other C libraries and kernels add, and what
// only an attacker would try. Numbers are the kernel's (asm/unistd_64.h, asm-generic/unistd.h of Linux 6.1);
// a name without a number on one architecture does not exist there.

export type Architecture = "x64" | "arm64";

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

/** Measured: workerd ran every product on these and the calls with rules alone. `tgkill` is its crash path. */
export const NEEDED = words(`
  accept4 access arch_prctl bind brk clock_gettime clock_nanosleep close connect epoll_create1 epoll_ctl epoll_wait eventfd2 execve exit exit_group
  fchown fcntl fstat fsync ftruncate futex getcwd getdents64 geteuid getpid getrandom getsockopt gettid listen lseek lstat madvise mkdir mkdirat mmap
  mprotect munmap newfstatat openat pkey_alloc poll pread64 pwrite64 read readlink recvfrom rename rseq rt_sigaction rt_sigprocmask rt_sigreturn
  sched_getaffinity sched_getparam sched_getscheduler sendto set_robust_list set_tid_address shutdown sigaltstack stat statx uname unlink
  unlinkat write writev
`);

/** Same powers as the needed ones under other names, for other C libraries and kernels. */
export const MARGIN = words(`
  accept clock_getres copy_file_range dup dup3 epoll_pwait faccessat faccessat2 fadvise64 fallocate fchmod fdatasync fstatfs getegid getgid
  getpeername getppid getrusage getsockname gettimeofday getuid linkat membarrier mremap nanosleep pipe2 pkey_free pkey_mprotect ppoll preadv pwritev
  readlinkat readv recvmsg renameat renameat2 restart_syscall sched_yield sendmsg setsockopt statfs sysinfo tgkill timerfd_create timerfd_settime
  utimensat wait4
`);

/** What the keeper's Node wants beyond these: it walks and mends directories, and asks how it was started. */
export const KEEPER_MORE = words(`capget chdir chmod fchmodat rmdir`);

/** What the keeper has no use for: it keeps to the two pipes that it was born with. */
export const KEEPER_LESS: ReadonlySet<string> = new Set(
  words(`accept accept4 bind connect getpeername listen recvfrom recvmsg sendmsg sendto setsockopt shutdown`),
);

/** No honest workerd asks for these: the process dies. Anything not named anywhere answers "not implemented". */
export const FATAL = words(`
  _sysctl acct add_key adjtimex bpf chroot clock_adjtime clock_settime create_module delete_module finit_module fsconfig fsmount fsopen fspick
  get_kernel_syms init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl landlock_add_rule
  landlock_create_ruleset landlock_restrict_self lookup_dcookie memfd_secret modify_ldt mount mount_setattr move_mount name_to_handle_at nfsservctl
  open_by_handle_at open_tree perf_event_open personality pidfd_getfd pidfd_open pidfd_send_signal pivot_root process_madvise process_vm_readv
  process_vm_writev ptrace query_module quotactl quotactl_fd reboot request_key setdomainname sethostname setns settimeofday swapoff swapon syslog
  umount2 unshare uselib userfaultfd vhangup
`);

const numbers = (text: string): ReadonlyMap<string, number> =>
  new Map(Array.from(text.matchAll(/(\w+)=(\d+)/g), ([, name = "", number]) => [name, Number(number)]));

/** Numbers of all of these and of the calls that pass with certain arguments only (seccomp.ts). */
export const NUMBERS: Readonly<Record<Architecture, ReadonlyMap<string, number>>> = {
  x64: numbers(`
  _sysctl=156 accept=43 accept4=288 access=21 acct=163 add_key=248 adjtimex=159 arch_prctl=158 bind=49 bpf=321 brk=12 capget=125 chdir=80 chmod=90 chroot=161 clock_adjtime=305
  clock_getres=229 clock_gettime=228 clock_nanosleep=230 clock_settime=227 clone=56 clone3=435 close=3 connect=42 copy_file_range=326
  create_module=174 delete_module=176 dup=32 dup3=292 epoll_create1=291 epoll_ctl=233 epoll_pwait=281 epoll_wait=232 eventfd2=290 execve=59 exit=60
  exit_group=231 faccessat=269 faccessat2=439 fadvise64=221 fallocate=285 fchmod=91 fchmodat=268 fchown=93 fcntl=72 fdatasync=75 finit_module=313 fsconfig=431
  fsmount=432 fsopen=430 fspick=433 fstat=5 fstatfs=138 fsync=74 ftruncate=77 futex=202 get_kernel_syms=177 getcwd=79 getdents64=217 getegid=108
  geteuid=107 getgid=104 getpeername=52 getpid=39 getppid=110 getrandom=318 getrusage=98 getsockname=51 getsockopt=55 gettid=186 gettimeofday=96
  getuid=102 init_module=175 io_uring_enter=426 io_uring_register=427 io_uring_setup=425 ioctl=16 ioperm=173 iopl=172 kcmp=312 kexec_file_load=320
  kexec_load=246 keyctl=250 landlock_add_rule=445 landlock_create_ruleset=444 landlock_restrict_self=446 linkat=265 listen=50 lookup_dcookie=212
  lseek=8 lstat=6 madvise=28 membarrier=324 memfd_secret=447 mkdir=83 mkdirat=258 mmap=9 modify_ldt=154 mount=165 mount_setattr=442 move_mount=429
  mprotect=10 mremap=25 munmap=11 name_to_handle_at=303 nanosleep=35 newfstatat=262 nfsservctl=180 open_by_handle_at=304 open_tree=428 openat=257
  perf_event_open=298 personality=135 pidfd_getfd=438 pidfd_open=434 pidfd_send_signal=424 pipe2=293 pivot_root=155 pkey_alloc=330 pkey_free=331
  pkey_mprotect=329 poll=7 ppoll=271 prctl=157 pread64=17 preadv=295 prlimit64=302 process_madvise=440 process_vm_readv=310 process_vm_writev=311
  ptrace=101 pwrite64=18 pwritev=296 query_module=178 quotactl=179 quotactl_fd=443 read=0 readlink=89 readlinkat=267 readv=19 reboot=169 recvfrom=45
  recvmsg=47 rename=82 renameat=264 renameat2=316 request_key=249 restart_syscall=219 rmdir=84 rseq=334 rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15
  sched_getaffinity=204 sched_getparam=143 sched_getscheduler=145 sched_yield=24 sendmsg=46 sendto=44 set_robust_list=273 set_tid_address=218
  setdomainname=171 sethostname=170 setns=308 setsockopt=54 settimeofday=164 shutdown=48 sigaltstack=131 socket=41 socketpair=53 stat=4 statfs=137
  statx=332 swapoff=168 swapon=167 sysinfo=99 syslog=103 tgkill=234 timerfd_create=283 timerfd_settime=286 umount2=166 uname=63 unlink=87 unlinkat=263
  unshare=272 uselib=134 userfaultfd=323 utimensat=280 vhangup=153 wait4=61 write=1 writev=20
  `),
  arm64: numbers(`
  accept=202 accept4=242 acct=89 add_key=217 adjtimex=171 bind=200 bpf=280 brk=214 capget=90 chdir=49 chroot=51 clock_adjtime=266 clock_getres=114 clock_gettime=113
  clock_nanosleep=115 clock_settime=112 clone=220 clone3=435 close=57 connect=203 copy_file_range=285 delete_module=106 dup=23 dup3=24
  epoll_create1=20 epoll_ctl=21 epoll_pwait=22 eventfd2=19 execve=221 exit=93 exit_group=94 faccessat=48 faccessat2=439 fadvise64=223 fallocate=47
  fchmod=52 fchmodat=53 fchown=55 fcntl=25 fdatasync=83 finit_module=273 fsconfig=431 fsmount=432 fsopen=430 fspick=433 fstat=80 fstatfs=44 fsync=82 ftruncate=46
  futex=98 getcwd=17 getdents64=61 getegid=177 geteuid=175 getgid=176 getpeername=205 getpid=172 getppid=173 getrandom=278 getrusage=165
  getsockname=204 getsockopt=209 gettid=178 gettimeofday=169 getuid=174 init_module=105 io_uring_enter=426 io_uring_register=427 io_uring_setup=425
  ioctl=29 kcmp=272 kexec_file_load=294 kexec_load=104 keyctl=219 landlock_add_rule=445 landlock_create_ruleset=444 landlock_restrict_self=446
  linkat=37 listen=201 lookup_dcookie=18 lseek=62 madvise=233 membarrier=283 memfd_secret=447 mkdirat=34 mmap=222 mount=40 mount_setattr=442
  move_mount=429 mprotect=226 mremap=216 munmap=215 name_to_handle_at=264 nanosleep=101 newfstatat=79 nfsservctl=42 open_by_handle_at=265
  open_tree=428 openat=56 perf_event_open=241 personality=92 pidfd_getfd=438 pidfd_open=434 pidfd_send_signal=424 pipe2=59 pivot_root=41
  pkey_alloc=289 pkey_free=290 pkey_mprotect=288 ppoll=73 prctl=167 pread64=67 preadv=69 prlimit64=261 process_madvise=440 process_vm_readv=270
  process_vm_writev=271 ptrace=117 pwrite64=68 pwritev=70 quotactl=60 quotactl_fd=443 read=63 readlinkat=78 readv=65 reboot=142 recvfrom=207
  recvmsg=212 renameat=38 renameat2=276 request_key=218 restart_syscall=128 rseq=293 rt_sigaction=134 rt_sigprocmask=135 rt_sigreturn=139
  sched_getaffinity=123 sched_getparam=121 sched_getscheduler=120 sched_yield=124 sendmsg=211 sendto=206 set_robust_list=99 set_tid_address=96
  setdomainname=162 sethostname=161 setns=268 setsockopt=208 settimeofday=170 shutdown=210 sigaltstack=132 socket=198 socketpair=199 statfs=43
  statx=291 swapoff=225 swapon=224 sysinfo=179 syslog=116 tgkill=131 timerfd_create=85 timerfd_settime=86 umount2=39 uname=160 unlinkat=35 unshare=97
  userfaultfd=282 utimensat=88 vhangup=58 wait4=260 write=64 writev=66
  `),
};
