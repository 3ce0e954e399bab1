# bash completion for wvs; generated from the command table: npm run generate
_wvs() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local word command= options=
  local -i index
  COMPREPLY=()
  case $previous in
    --config) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --socket) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --in) :; return ;;
    --out) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --config-id) :; return ;;
    --interface) COMPREPLY=($(compgen -W "$(command ls /sys/class/net)" -- "$current")); return ;;
    --interval) :; return ;;
    --sort) :; return ;;
    --service) COMPREPLY=($(compgen -W "$(command ls /sys/class/net)" -- "$current")); return ;;
    --direction) COMPREPLY=($(compgen -W 'in out both' -- "$current")); return ;;
    --snaplen) :; return ;;
    --count) :; return ;;
    -o) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --output) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --method) :; return ;;
    --vip) :; return ;;
    --director) :; return ;;
    --type) COMPREPLY=($(compgen -W 'ipip gue gre' -- "$current")); return ;;
    --port) :; return ;;
    --outer) COMPREPLY=($(compgen -W 'ipv4 ipv6' -- "$current")); return ;;
  esac
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=${COMP_WORDS[index]}
    if [[ $word == --socket ]]; then index+=1
    elif [[ $word != -* ]]; then command=$word && break; fi
  done
  case $command in
    '') COMPREPLY=($(compgen -W 'run check plan reload ipvsadm replay import status top explain proc capture doctor realserver --socket --version --help' -- "$current")); return ;;
    run) options='--config --help' ;;
    check) options='--config --help' ;;
    plan) options='--config --json --socket --help' ;;
    reload) options='--config --json --socket --help' ;;
    ipvsadm) options='' ;;
    replay) options='--config --in --out --help' ;;
    import) options='--config-id --interface --help' ;;
    status) options='--json --socket --help' ;;
    top) options='--once --interval --sort --socket --help' ;;
    explain) options='--first --json --socket --help' ;;
    proc) options='--socket --help' ;;
    capture) options='--service --direction --snaplen --count -o --output --socket --help' ;;
    doctor) options='--config --json --help' ;;
    realserver) options='--method --vip --director --type --port --outer --interface --apply --undo --help' ;;
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _wvs wvs
