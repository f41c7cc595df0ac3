// What runs in the reader's browser: draws the three planes from the sprite. Plain JavaScript as text, it knows only numbers.

export const viewerScript = `(function(id,s){
var root=document.getElementById(id);if(!root||root.dataset.live)return;
var img=root.querySelector('.vb-data'),live=root.querySelector('.vb-live'),still=root.querySelector('.vb-still');
function start(){
 var D=s.shape[0],H=s.shape[1],W=s.shape[2],c=document.createElement('canvas');c.width=img.naturalWidth;c.height=img.naturalHeight;
 var g=c.getContext('2d',{willReadFrequently:true});if(!g)return;g.drawImage(img,0,0);
 var p=g.getImageData(0,0,c.width,c.height).data,n=D*H*W,grey=new Uint8Array(n),ref=new Uint8Array(n),pred=new Uint8Array(n),i=0,x,y,z;
 for(z=0;z<D;z++)for(y=0;y<H;y++)for(x=0;x<W;x++,i++){var q=((Math.floor(z/s.columns)*H+y)*c.width+(z%s.columns)*W+x)*4,l=s.rows*c.width*4;grey[i]=p[q]*255/63;if(s.layers[0])ref[i]=p[q+l*s.layers[0]];if(s.layers[1])pred[i]=p[q+l*s.layers[1]];}
 root.dataset.live='1';
 var step=[H*W,W,1],views=[['axial',2,1,0],['coronal',2,0,1],['sagittal',1,0,2]].map(function(q){
  var u=s.axes[q[1]],v=s.axes[q[2]],k=s.axes[q[3]];
  return{name:q[0],axis:k,w:s.shape[u],h:s.shape[v],mm:[s.spacing[u],s.spacing[v]],u:u,v:v,at:function(a,b,c){return a*step[u]+b*step[v]+c*step[k]}}});
 var pos=s.at.slice(),shown={labels:true};
 live.style.cssText='display:flex;flex-wrap:wrap;gap:6px;background:#000;padding:4px;color:#ddd;align-items:flex-end';
 views.forEach(function(o){
  var box=document.createElement('div'),cv=document.createElement('canvas'),r=document.createElement('input'),t=document.createElement('div');
  cv.width=Math.max(1,Math.round(o.w*o.mm[0]*s.scale));cv.height=Math.max(1,Math.round(o.h*o.mm[1]*s.scale));cv.style.cssText='display:block;cursor:crosshair;max-width:100%';
  r.type='range';r.min=0;r.max=s.shape[o.axis]-1;r.value=pos[o.axis];r.style.cssText='width:'+cv.width+'px;max-width:100%;margin:2px 0';r.setAttribute('aria-label',o.name+' slice');
  t.style.cssText='font:11px sans-serif';
  box.append(cv,r,t);live.append(box);o.cv=cv;o.r=r;o.t=t;
  r.oninput=function(){pos[o.axis]=+r.value;draw()};
  cv.onclick=function(e){var b=cv.getBoundingClientRect(),u=Math.floor((e.clientX-b.left)/b.width*o.w),v=Math.floor((e.clientY-b.top)/b.height*o.h);
   pos[o.u]=s.flip[o.u]?o.w-1-u:u;pos[o.v]=s.flip[o.v]?o.h-1-v:v;draw()};
 });
 var lab=document.createElement('label'),ch=document.createElement('input');ch.type='checkbox';ch.checked=true;ch.onchange=function(){shown.labels=ch.checked;draw()};
 lab.style.cssText='font:11px sans-serif;align-self:flex-start';lab.append(ch,' labels');if(s.layers[0]||s.layers[1])live.append(lab);
 function mix(d,a,col,f){for(var k=0;k<3;k++)d[a+k]=d[a+k]*(1-f)+col[k]*f}
 function draw(){views.forEach(function(o){
  var k=pos[o.axis];o.r.value=k;o.t.textContent=o.name+' '+Math.floor((k+.5)*s.full[o.axis]/s.shape[o.axis])+' of '+s.full[o.axis];
  var cw=o.cv.width,chh=o.cv.height,ctx=o.cv.getContext('2d'),im=ctx.createImageData(cw,chh),d=im.data,ix=new Int32Array(cw),iy=new Int32Array(chh),a,b;
  for(a=0;a<cw;a++){var u=Math.min(o.w-1,Math.floor(a*o.w/cw));ix[a]=s.flip[o.u]?o.w-1-u:u}
  for(b=0;b<chh;b++){var v=Math.min(o.h-1,Math.floor(b*o.h/chh));iy[b]=s.flip[o.v]?o.h-1-v:v}
  function edge(m,a,b){var h=m[o.at(ix[a],iy[b],k)];return h>0&&(m[o.at(ix[a],iy[Math.max(0,b-1)],k)]!==h||m[o.at(ix[a],iy[Math.min(chh-1,b+1)],k)]!==h||m[o.at(ix[Math.max(0,a-1)],iy[b],k)]!==h||m[o.at(ix[Math.min(cw-1,a+1)],iy[b],k)]!==h)}
  for(b=0;b<chh;b++)for(a=0;a<cw;a++){var j=o.at(ix[a],iy[b],k),e=(b*cw+a)*4,rr=ref[j],pp=pred[j];d[e]=d[e+1]=d[e+2]=grey[j];d[e+3]=255;
   if(!shown.labels)continue;
   if(s.compare){if(rr!==pp)mix(d,e,rr===0?s.agreement.excess:s.agreement.missed,.45);if(edge(ref,a,b))mix(d,e,s.agreement.reference,1);if(edge(pred,a,b))mix(d,e,s.agreement.prediction,rr===pp?.6:1)}
   else if(rr||pp){var m=rr?ref:pred;mix(d,e,s.colours[(m[j]-1)%s.colours.length],edge(m,a,b)?1:.35)}}
  ctx.putImageData(im,0,0);
  ctx.strokeStyle='rgba(255,255,255,.35)';ctx.beginPath();
  var cu=((s.flip[o.u]?o.w-1-pos[o.u]:pos[o.u])+.5)*cw/o.w,cvv=((s.flip[o.v]?o.h-1-pos[o.v]:pos[o.v])+.5)*chh/o.h;
  ctx.moveTo(cu,0);ctx.lineTo(cu,chh);ctx.moveTo(0,cvv);ctx.lineTo(cw,cvv);ctx.stroke();
 })}
 draw();still.style.display='none';
}
if(img.complete&&img.naturalWidth)start();else img.addEventListener('load',start);
})`;
