// Every way that somebody may write where a Worker does not go, and what it is called there; and what is public, as the
// other half of the proof. Hosts as they stand in a URL.

type Refused = readonly [host: string, why: RegExp];

const is = (why: RegExp, hosts: string): readonly Refused[] => hosts.split(/\s+/).map((host) => [host, why] as const);

const LOOPBACK = is(
  /^a loopback address$/,
  `127.0.0.1 127.0.0.1. 127.1 127.0.1 127.255.255.254 2130706433 017700000001 0x7f000001 0x7f.1 0x7F.0x0.0x0.0x1 0177.0.0.1 0177.0.1
   0177.1 127.0x1 127.000.000.001 0x7f.0.0.1. 00000177.1 0x0000007f.1 0x7f.0.0x1 127.0.0.0x1 127.65535 0x7fffffff %31%32%37.0.0.1 127%2e0%2e0%2e1
   %30x7f.1 １２７.0.0.1 ①②⑦.0.0.1 ①②⑦.⓪.⓪.① 127。0。0。1 127．0．0．1 127｡0｡0｡1 𝟏𝟐𝟕.0.0.1 ０x7f.1 [::1] [0:0:0:0:0:0:0:1] [0000::0001] [0::1] [::0.0.0.1]
   [::ffff:127.0.0.1] [::FFFF:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:7f00:0001] [0:0:0:0:0:ffff:127.0.0.1] [64:ff9b::127.0.0.1]
   [64:ff9b::7f00:1] [64:FF9B:0:0:0:0:7F00:1] [2606:4700::5efe:7f00:1] [2606:4700::200:5efe:127.0.0.1]`,
);

const PRIVATE = is(
  /^a private address$/,
  `10.0.0.0 10.0.0.1 10.255.255.255 10.1 012.0.0.1 0xa.0.0.1 0x0a000001 167772161 172.16.0.1 172.31.255.255 0xac.0x10.1 172.1048577 2886729729
   192.168.0.0 192.168.1.1 192.168.257 0xc0a80101 0300.0250.1.1 3232235777 030052000401 192.168.255.255 １０.0.0.1 [::ffff:10.0.0.1] [::ffff:c0a8:101]
   [::ffff:ac10:1] [64:ff9b::10.0.0.1] [64:ff9b::c0a8:101] [fc00::] [fc00::1] [fd12:3456:789a::1] [fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff] [fec0::1]
   [feff::1] [2606:4700::5efe:a00:1]`,
);

const LINK_LOCAL_AND_METADATA = [
  ...is(
    /^a link-local address \(cloud metadata among them\)$/,
    `169.254.169.254 169.254.0.1 169.254.255.255 169.254.43518 2852039166 0xa9fea9fe 0xa9.0xfe.0xa9.0xfe 0251.0376.0251.0376 025177524776 169.254.170.2
     169。254。169。254 ①⑥⑨.②⑤④.①⑥⑨.②⑤④ [::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [64:ff9b::a9fe:a9fe] [fe80::1] [fe80::a9fe:a9fe] [febf::1]`,
  ),
  // Amazon's, by IPv6; Alibaba's; Oracle's; Azure's.
  ...is(/^a private address$/, "[fd00:ec2::254] [fd20:ce::254]"),
  ...is(/shared address .* \(cloud metadata among them\)$/, "100.100.100.200 100.64.0.0 100.127.255.255 0x646464c8 [::ffff:100.64.0.1]"),
  ...is(/^a reserved address$/, "192.0.0.192 [::ffff:192.0.0.192]"),
  ...is(/^a metadata address$/, "168.63.129.16 0xa83f8110 2822734096 [::ffff:168.63.129.16] [64:ff9b::168.63.129.16]"),
];

/** The rest of IANA's registries for special purposes, first and last of each block. */
const REGISTRIES = [
  ...is(/^an unspecified address$/, "0.0.0.0 0 0x0 00 0.0 0.1.2.3 0.255.255.255 [::] [0:0:0:0:0:0:0:0] [::ffff:0.0.0.0] [::ffff:0:0]"),
  ...is(/^a multicast address$/, "224.0.0.0 224.0.0.1 239.255.255.255 0xe0.1 [ff00::] [ff02::1] [ff0e::1] [ffff::1] [::ffff:224.0.0.1]"),
  ...is(/^a broadcast address$/, "255.255.255.255 4294967295 0xffffffff 037777777777 255.16777215 [::ffff:255.255.255.255]"),
  ...is(
    /^an address of documentation$/,
    "192.0.2.0 192.0.2.255 198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255 [2001:db8::] [2001:db8:ffff::1] [3fff::1] [3fff:fff::1]",
  ),
  ...is(
    /^an address of a tunnel \(6to4\)$/,
    "[2002::] [2002:7f00:1::] [2002:7f00:0001::1] [2002:a00:1::] [2002:808:808::1] [2002:ffff::1]",
  ),
  ...is(/^an address of a tunnel \(Teredo\)$/, "[2001::] [2001:0:7f00:1::1] [2001:0:808:808:0:0:80ff:fffe] [2001:0:ffff::1]"),
  ...is(
    /^a reserved address$/,
    `192.0.0.0 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.255 192.31.196.1 192.52.193.1 192.88.99.1 192.88.99.2 192.175.48.1 198.18.0.0 198.19.255.255
     240.0.0.0 240.0.0.1 255.255.255.254 0xf0000001 [2001:1::1] [2001:2::1] [2001:3::1] [2001:4:112::1] [2001:10::1] [2001:20::1] [2001:30::1]
     [2001:1ff::1] [2620:4f:8000::1] [100::1] [100:0:0:1::1] [5f00::1] [64:ff9b:1::7f00:1] [64:ff9b:1::808:808] [64:ff9b:0:1::1] [::127.0.0.1] [::7f00:1]
     [::808:808] [::2] [::ffff:0:7f00:1] [::ffff:0:127.0.0.1] [1::1] [1fff::1] [4000::1] [8000::1] [c000::1] [e000::1] [fbff::1] [fe00::1] [fe7f::1]`,
  ),
];

export const REFUSED: readonly Refused[] = [...LOOPBACK, ...PRIVATE, ...LINK_LOCAL_AND_METADATA, ...REGISTRIES];

/** This machine's in these tests, and one that its operator closed. */
export const OWN = ["93.184.215.99", "2606:2800:21f::99"] as const;
export const OWN_SPELLINGS: readonly Refused[] = is(
  /^an address of this machine$/,
  `93.184.215.99 0x5db8d763 1572394851 0135.0270.0327.0143 93.12113763 [::ffff:93.184.215.99] [::ffff:5db8:d763] [64:ff9b::5db8:d763]
   [2606:2800:21f::99] [2606:2800:21f:0:0:0:0:99] [2606:2800:021F:0000::0099] [2606:4700::5efe:5db8:d763]`,
);

export const PUBLIC: readonly string[] =
  `93.184.215.14 0x5db8d70e 1572394766 1.1.1.1 8.8.8.8 1.0.0.0 9.255.255.255 11.0.0.0 126.255.255.255 128.0.0.0
  172.15.255.255 172.32.0.0 100.63.255.255 100.128.0.0 169.253.255.255 169.255.0.0 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255
  198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255 168.63.129.15 [2606:4700::1] [2001:200::1] [2003::1] [2000::1]
  [3ffe::1] [64:ff9b::8.8.8.8] [::ffff:8.8.8.8]`.split(/\s+/);

/** Names that lead to this machine whatever a resolver says. */
export const LOOPBACK_NAMES: readonly string[] =
  "localhost LOCALHOST localhost. a.localhost a.b.LocalHost ｌｏｃａｌｈｏｓｔ %6cocalhost ⓛocalhost".split(" ");

export const NO_HOST: readonly string[] = [
  "",
  "[::1",
  "::1",
  "[fe80::1%25eth0]",
  "[fe80::1%eth0]",
  "[::ffff:127.0.0.1",
  "[127.0.0.1]",
  "[::127.0.0.1.]",
  "a b",
  "user@127.0.0.1",
  "example.com\\@127.0.0.1",
  "256.0.0.1",
  "127.0.0.256",
  "4294967296",
  "0x100000000",
  "0400.0.0.1",
  "08.0.0.1",
  "1.2.3.4.5",
  "127.0.0.1%00.example.com",
  "127.0.0.1\t",
  "127..1",
  ".127.0.0.1",
  "example..com",
  ".example.com",
  `${"a".repeat(64)}.com`,
  `${"a.".repeat(127)}abc`,
  "example.com:0",
  "example.com:65536",
  "example.com:80:80",
];
