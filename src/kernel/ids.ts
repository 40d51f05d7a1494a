// Identifiers and secrets: how each looks, how it is made, how it is recognised.
// Ids are public. Secrets carry a prefix and a checksum so that scanners can tell a leak from noise.
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { crc32 } from "node:zlib";

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** 32 lower-case hexadecimal digits. */
export type AccountId = Brand<string, "AccountId">;
/** A DNS label such as `quiet-otter-x7k2p`; given once in the life of an installation. */
export type Subdomain = Brand<string, "Subdomain">;

export const ACCOUNT_ID = /^[0-9a-f]{32}$/;
export const SHA256_HEX = /^[0-9a-f]{64}$/;

/** 32 hexadecimal digits, 128 random bits: accounts, tokens, tasks, Workers, trail entries. */
export function newId(): string {
  return randomBytes(16).toString("hex");
}

export function newAccountId(): AccountId {
  return newId() as AccountId;
}

/** RFC 9562 version 4, with dashes: Worker versions and deployments, as wrangler prints them. */
export function newUuid(): string {
  return randomUUID();
}

const ADJECTIVES =
  "amber ample apt bold brave brief bright brisk calm civil clean clear cool crisp dapper deft dry eager early easy even fair fast fine firm fleet fond free fresh gentle glad golden grand green happy hardy honest humble jolly keen kind late light lively lofty lucid lucky mellow merry mild misty modest neat nimble noble open pale patient plain plucky polite proud quick quiet rapid ready robust rosy round sage shy silent silver simple sleek slim smart smooth snug sober soft spry stark steady still stout sturdy sunny swift tidy tough true upbeat vast vivid warm wise witty zesty".split(
    " ",
  );
const ANIMALS =
  "adder ant badger bat bear beaver bee bison boar bream buck camel carp cat cobra cod colt crab crane cricket crow deer dingo dodo dog dove duck eagle eel egret elk emu falcon ferret finch fox frog gecko goat goose gull hare hawk hen heron horse hound ibex ibis jackal jay kite koala lark lemur lion lizard llama lynx magpie marten mole moose moth mouse mule newt ocelot orca osprey otter owl ox panda parrot perch pigeon pike pony puffin puma quail rabbit ram raven robin rook salmon seal shark sheep shrew skunk sloth snail snake sparrow squid stork swan tapir tern tiger toad trout turkey turtle viper vole walrus wasp whale wolf wombat wren yak zebra".split(
    " ",
  );
// Without vowels and look-alikes: no words, nothing to misread.
const SUFFIX_ALPHABET = "bcdfghjkmnpqrstvwxz23456789";

/** `adjective-animal-xxxxx`, at most 21 characters; uniqueness is the database's to enforce. */
export function newSubdomain(): Subdomain {
  const pick = (from: readonly string[] | string): string => from[randomInt(from.length)] ?? "";
  let suffix = "";
  for (let i = 0; i < 5; i++) suffix += pick(SUFFIX_ALPHABET);
  return `${pick(ADJECTIVES)}-${pick(ANIMALS)}-${suffix}` as Subdomain;
}

/** One case alone: these are read off terminals and, if need be, typed. */
const base36 = (value: bigint, length: number): string => value.toString(36).padStart(length, "0");

/** Digits of 256 bits, and of the 32 of a checksum. */
const RANDOM_DIGITS = 50;
const CHECK_DIGITS = 7;

/** What a secret opens: `mft` an API token, `mfc` a claim link, `mfo` the operator's first sign-in, `mfi` an invitation, `mfk` the operator's routes. */
export type SecretKind = "mft" | "mfc" | "mfo" | "mfi" | "mfk";

/**
 * `<kind>_<50 base36 digits, 256 random bits><7 base36 digits, CRC-32 of all before them>`.
 */
export function newSecret(kind: SecretKind): string {
  const body = `${kind}_${base36(BigInt(`0x${randomBytes(32).toString("hex")}`), RANDOM_DIGITS)}`;
  return body + base36(BigInt(crc32(body)), CHECK_DIGITS);
}

/** Whether the text has the form and checksum of a secret of that kind; says nothing of its validity. */
export function isSecret(kind: SecretKind, text: string): boolean {
  if (text.length !== kind.length + 1 + RANDOM_DIGITS + CHECK_DIGITS || !text.startsWith(`${kind}_`)) return false;
  const body = text.slice(0, -CHECK_DIGITS);
  return text.slice(-CHECK_DIGITS) === base36(BigInt(crc32(body)), CHECK_DIGITS);
}
