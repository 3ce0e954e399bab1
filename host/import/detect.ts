/** What kind of file a text is that may have been written for another program. */

/** keepalived.conf, or rules of ipvsadm and iptables. */
export type ImportKind = 'keepalived' | 'rules';

const RULE =
  /^(ipvsadm\s|-[ACEDaed](\s+(-[tuf6]|--\S+)\s|\s*$)|--(add|edit)-se|--set\s|\*(mangle|filter|nat|raw)\s*$|ip6?tables\s|-A PREROUTING\s)/m;
/** A word that ends before anything that would make it a key of YAML. */
const KEEPALIVED =
  /^[ \t]*(@\S+[ \t]+)?(global_defs|virtual_server(_group)?|vrrp_[a-z_]+|static_[a-z]+|track_[a-z]+|bfd_instance|garp_group|linkbeat_[a-z_]+|net_namespace[a-z_]*|SSL)([ \t]+[^\s:#=][^\n]*|[ \t]*\{?[ \t]*([#!].*)?)$/m;
const KEEPALIVED_ONLY =
  /^[ \t]*(@\S+[ \t]+)?(\$[A-Za-z_]\w*=|~(SEQx?|LST)\(|include[rmwba]?[ \t]+\S|! )/m;
const WVS = /^(version|director|services)[ \t]*:/m;

/** The kind, or undefined for a configuration of WVS and for what is nothing known. */
export function detectKind(text: string): ImportKind | undefined {
  if (WVS.test(text)) return undefined;
  if (RULE.test(text)) return 'rules';
  return KEEPALIVED.test(text) || KEEPALIVED_ONLY.test(text) ? 'keepalived' : undefined;
}

/** Whether a text is a configuration of WVS, right or wrong. */
export function isOwnConfig(text: string): boolean {
  return WVS.test(text);
}
